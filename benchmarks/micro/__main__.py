"""`python -m benchmarks.micro [MODULE ...]`: all hot modules, or those named.

The record and the table hold all of them or nothing: with names, the figures are only shown.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import page, record
from benchmarks.micro import account, calls, codec, edge, frames, state
from benchmarks.micro.timing import Case, time_cases
from streamer.cli.output import say

NAME = "micro"
MODULES: Mapping[str, Callable[[], dict[str, Case]]] = {
    "codec": codec.cases,
    "frames": frames.cases,
    "edge": edge.cases,
    "account": account.cases,
    "calls": calls.cases,
    "state": state.cases,
}


def figures_of(names: Sequence[str], rounds: int, round_s: float) -> list[dict[str, Any]]:
    return [
        {"module": name, **dataclasses.asdict(timing)}
        for name in names
        for timing in time_cases(MODULES[name](), rounds, round_s)
    ]


def table(figures: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (f["module"], f["case"], f"{f['ns']:.1f}", "" if f["ratio"] is None else f"{f['ratio']:.2f}") for f in figures
    ]
    return page.table(("module", "case"), ("ns a message", "times its reference"), rows)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{NAME}", description="Hot modules, by message.")
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {', '.join(MODULES)}; without any, all")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--round", type=float, default=0.05, metavar="SECONDS", help="length of a round of one case")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write here, and leave the documents alone")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.modules if name not in MODULES]
    if unknown:
        parser.error(f"no module {unknown[0]!r}; the modules are: {', '.join(MODULES)}")
    figures = figures_of(options.modules or list(MODULES), options.rounds, options.round)
    done = record.document(NAME, arguments, figures)
    text = f"{table(figures)}\n\n{page.provenance(done)}"
    if options.json is not None:
        record.write(done, options.json)
    elif not options.modules:
        record.write(done, record.home_of(NAME))
        page.put(NAME, text)
    say(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
