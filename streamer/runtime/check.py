"""`python -m streamer.runtime.check PATH [NAME]`: whether an algorithm imports, before a job is made of it.

It runs in a process of its own, since importing is running the user's code, and shows what the user's code raised; the
last line says what is wrong in one sentence.
"""

from __future__ import annotations

import sys
from pathlib import Path

from streamer.errors import AlgorithmError
from streamer.plan.assignment import Code
from streamer.runtime.algorithm import load_algorithm
from streamer.runtime.letters import user_traceback


def main(path: str, name: str) -> int:
    try:
        load_algorithm(Code(name, path))
    except AlgorithmError as error:
        if error.__cause__ is not None:
            sys.stderr.write(user_traceback(error.__cause__))
        sys.stderr.write(f"{error}. {error.advice}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else Path(sys.argv[1]).stem))
