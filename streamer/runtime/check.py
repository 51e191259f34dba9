"""`python -m streamer.runtime.check PATH [LIST]`: whether an algorithm imports, before a job is made of it.

It runs in a process of its own, since importing is running the user's code, and shows what the user's code raised; the
last line says what is wrong in one sentence. Into the file LIST it writes the files that the algorithm consists of,
with a NUL after each: its own, and those of its folder that were imported with it. What is installed, and what comes
with Python, does not belong to it.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from streamer.errors import AlgorithmError
from streamer.plan.assignment import Code
from streamer.runtime.algorithm import load_algorithm
from streamer.runtime.letters import user_traceback

_INSTALLED = frozenset({"site-packages", "dist-packages"})


def main(path: str, files: str = "") -> int:
    before = frozenset(sys.modules)
    try:
        load_algorithm(Code(Path(path).stem, path))
    except AlgorithmError as error:
        if error.__cause__ is not None:
            sys.stderr.write(user_traceback(error.__cause__))
        sys.stderr.write(f"{error}. {error.advice}\n")
        return 1
    if files:
        Path(files).write_text("".join(f"{one}\0" for one in dict.fromkeys(_consists_of(path, before))))
    return 0


def _consists_of(path: str, before: frozenset[str]) -> Iterator[str]:
    yield path
    folder, python = Path(path).parent, sysconfig.get_path("stdlib")
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name in before or name.partition(".")[0] == "streamer" or not isinstance(file, str):
            continue
        of_python = file.startswith(python) or not _INSTALLED.isdisjoint(Path(file).parts)
        if file.endswith(".py") and Path(file).is_relative_to(folder) and not of_python:
            yield file


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
