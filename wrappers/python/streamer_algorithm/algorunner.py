"""`Algorunner.Run` for algorithms that have their own main: it hands their functions to the instance around them.

HKube's code ends in `Algorunner.Run(start=...)`, which there connects to a worker process and never returns. Here the
instance is the process: it opens a receiver with `host`, executes the file, and `Run` gives it the functions and
returns, so no message takes a hop more than in a file of plain functions. Connecting to the instance over a socket
instead was rejected for that hop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

Start = Callable[..., Any]
"""`start(args, api)` or `start(args)`."""
Phase = Callable[[Any], Any]
"""`init(args)`, `stop(args)`, `exit(args)`."""
Batch = Callable[..., Any]
"""`onMessages(messages, api)` or `onMessages(messages)`."""


@dataclass(frozen=True, slots=True)
class Algorithm:
    """The functions that a program handed over."""

    start: Start | None
    init: Phase | None = None
    stop: Phase | None = None
    exit: Phase | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    on_messages: Batch | None = None


Receiver = Callable[[Algorithm], None]


class NotHostedError(RuntimeError):
    """`Algorunner.Run` was called where no instance is there to run the algorithm."""


# One file is executed per process, so one receiver is enough; a list so that `host` can be nested in tests.
_receivers: list[Receiver] = []


@contextmanager
def host(receiver: Receiver) -> Iterator[None]:
    """While it is open, `Algorunner.Run` calls `receiver`. For the instance that executes the file, and for tests."""
    _receivers.append(receiver)
    try:
        yield
    finally:
        _receivers.remove(receiver)


class Algorunner:
    """HKube's entry point, by its name and signature."""

    @staticmethod
    def Run(
        start: Start | None = None,
        init: Phase | None = None,
        stop: Phase | None = None,
        exit: Phase | None = None,
        options: Mapping[str, Any] | None = None,
        *,
        onMessages: Batch | None = None,
    ) -> None:
        """Hand the functions over; they are called after the file has been executed to its end."""
        if start is None and onMessages is None:
            raise TypeError("Algorunner.Run needs start: Algorunner.Run(start=start, init=..., stop=..., exit=...)")
        if not _receivers:
            raise NotHostedError(
                "This program is an algorithm, and there is no instance to run it: name its file in code.path of an "
                "algorithm, name that algorithm in a pipeline, and start it with: streamer run PIPELINE"
            )
        _receivers[-1](Algorithm(start, init, stop, exit, dict(options or {}), onMessages))
