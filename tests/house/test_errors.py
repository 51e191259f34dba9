"""Every error of ours tells what to do, because a user who reads only what went wrong has to ask us.

The tree is walked at run time, over all modules, so that an error class defined far from streamer/errors.py is seen.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import streamer
from streamer.errors import StreamerError


def _family(parent: type[StreamerError]) -> Iterator[type[StreamerError]]:
    for child in parent.__subclasses__():
        yield child
        yield from _family(child)


def remedy_problem(error: type[StreamerError]) -> str | None:
    """What is wrong with the class's remedy, or None."""
    if "remedy" not in vars(error):
        return f"{error.__qualname__}: say in a remedy of its own what the user should do"
    if not error.remedy.rstrip().endswith("."):
        return f"{error.__qualname__}: a remedy is a sentence and ends with a full stop"
    return None


def test_every_error_has_a_remedy_of_its_own() -> None:
    for found in pkgutil.walk_packages(streamer.__path__, "streamer."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)

    ours = [error for error in _family(StreamerError) if error.__module__.startswith("streamer.")]

    assert ours
    assert [problem for error in ours if (problem := remedy_problem(error))] == []


def test_an_error_without_a_remedy_is_found() -> None:
    class NamelessError(StreamerError):
        pass

    class MutteringError(StreamerError):
        remedy = "do something"

    assert "a remedy of its own" in (remedy_problem(NamelessError) or "")
    assert "full stop" in (remedy_problem(MutteringError) or "")
