"""The command of a benchmark: which of its cases are taken, and where the figures go.

Each is `python -m benchmarks.NAME [--only TEXT] [--json FILE]`, with options of its own beside. Without `--json` its
record and its table on the page are replaced; with it, the documents are left alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

from benchmarks import aims, page, record
from streamer.cli.output import say


class Named(Protocol):
    """One case of a benchmark."""

    @property
    def name(self) -> str: ...


Case = TypeVar("Case", bound=Named)


def parser_of(name: str, description: str) -> argparse.ArgumentParser:
    """With the options that each benchmark has."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    parser.add_argument("--only", default="", metavar="TEXT", help="only cases whose names hold this text")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write here, and leave the documents alone")
    return parser


def chosen(parser: argparse.ArgumentParser, cases: Sequence[Case], only: str) -> list[Case]:
    """The case of that name, or those whose names hold it; without any, the command ends and names those there are."""
    found = [case for case in cases if case.name == only] or [case for case in cases if only in case.name]
    if not found:
        parser.error(f"no case holds {only!r}; the cases are: {'; '.join(case.name for case in cases)}")
    return found


def publish(
    name: str,
    arguments: Sequence[str],
    figures: Sequence[Mapping[str, Any]],
    table: str,
    file: Path | None,
    beside: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Show the figures and keep them: in `file`, or in the repository's record and on its page, with what they reach.

    `beside` are versions of what they were taken beside.
    """
    done = record.document(name, arguments, figures, beside)
    record.write(done, file or record.home_of(name))
    text = f"{table}\n\n{page.provenance(done)}"
    if file is None:
        page.put(name, text)
        page.put(aims.NAME, aims.summary(list(aims.of_records(record.RECORDED))))
    say(text)
