"""Where the command line writes, and the forms of what it writes: findings, errors, the account.

stdout belongs to results (an account, JSON, a graph) and to records of a `stdout` sink; all that accompanies them
goes to stderr. Everything leaves through `say` and `tell`, so that a closed pipe or a narrow encoding is dealt with
in one place and no other module prints.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from io import TextIOWrapper
from typing import Any, TextIO

from streamer.errors import StreamerError

_EDGE_KEYS = (
    "source", "target", "sent", "settled", "dead_lettered", "dropped", "abandoned", "in_flight", "redelivered",
)  # fmt: skip
_NODE_KEYS = ("node", "instances", "restarts", "received", "failed")
_JOB_KEYS = ("job", "pipeline", "status", "duration_s")


def allow_any_text() -> None:
    """A terminal that knows only ASCII shows an escape instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(text: str) -> None:
    """A result, to stdout."""
    _write(sys.stdout, text)


def tell(text: str) -> None:
    """What accompanies a result, to stderr."""
    _write(sys.stderr, text)


def _write(stream: TextIO, text: str) -> None:
    stream.write(text + "\n")
    stream.flush()


def tell_error(error: StreamerError) -> None:
    tell(f"{error}\n  {error.advice}")


def json_line(document: object) -> str:
    """One line of ASCII, so that no text of a user can break the line or the encoding of a terminal."""
    return json.dumps(document)


def account_table(account: Mapping[str, Any], width: int | None = None) -> str:
    """The account as tables headed by the keys of its JSON form.

    Where they are wider than `width`, headings are folded at their underscores before anything else is.
    """
    parts = [_columns(_JOB_KEYS, [account], width)]
    if account["edges"]:
        parts.append(_columns(_EDGE_KEYS, account["edges"], width))
    parts.append(_columns(_NODE_KEYS, account["nodes"], width))
    return "\n\n".join(parts)


def _columns(keys: Sequence[str], rows: Iterable[Mapping[str, Any]], width: int | None) -> str:
    cells = [[_cell(row[key]) for key in keys] for row in rows]
    headings = [[key] for key in keys]
    text = _aligned(headings, cells, "  ")
    if width is None or _widest(text) <= width:
        return text
    folded = [key.replace("_", "_\n").split("\n") for key in keys]
    text = _aligned(folded, cells, "  ")
    return text if _widest(text) <= width else _aligned(folded, cells, " ")


def _aligned(headings: Sequence[Sequence[str]], cells: Sequence[Sequence[str]], gap: str) -> str:
    """Numbers to the right, names to the left."""
    height = max(len(heading) for heading in headings)
    lines = [[(heading[i] if i < len(heading) else "") for heading in headings] for i in range(height)]
    lines += [list(row) for row in cells]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    numeric = [all(row[column][:1].isdigit() for row in cells) for column in range(len(headings))]
    return "\n".join(
        gap.join(
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in lines
    )


def _widest(text: str) -> int:
    return max(len(line) for line in text.splitlines())


def _cell(value: object) -> str:
    """`dropped` is a mapping of reasons; nothing dropped reads as 0, as in the other columns."""
    if isinstance(value, Mapping):
        return " ".join(f"{reason}={count}" for reason, count in value.items()) or "0"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def terminal_width(stream: TextIO) -> int | None:
    """Columns of the terminal behind `stream`; None if there is none."""
    return shutil.get_terminal_size().columns if stream.isatty() else None
