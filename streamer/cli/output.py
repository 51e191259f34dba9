"""Where the command line writes, and the forms of what it writes: findings, errors, the account.

stdout belongs to results (an account, JSON, a graph) and to records of a `stdout` sink; all that accompanies them
goes to stderr. Everything leaves through `say` and `tell`, so that a closed pipe or a narrow encoding is dealt with
in one place and no other module prints.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import select
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from io import TextIOWrapper, UnsupportedOperation
from typing import Any, TextIO

from streamer.errors import OutputError, StreamerError

_EDGE_KEYS = (
    "source", "target", "sent", "settled", "dead_lettered", "dropped", "abandoned", "in_flight", "redelivered",
)  # fmt: skip
_NODE_KEYS = ("node", "instances", "restarts", "received", "failed")
_JOB_KEYS = ("job", "pipeline", "status", "duration_s")
_NAME_KEYS = frozenset(
    {
        "job",
        "pipeline",
        "status",
        "source",
        "target",
        "node",
        "since",
        "nodes",
        "instance",
        "state",
        "kind",
        "flow",
        "text",
        "origin",
        "update",
    }
)
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


def allow_any_text() -> None:
    """A terminal that knows only ASCII shows an escape instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(text: str) -> None:
    """A result, to stdout."""
    _write(sys.stdout, text)


def say_json(text: str) -> None:
    """A JSON text to stdout, which stays JSON where the terminal does not know its characters."""
    if not text.isascii() and codecs.lookup(sys.stdout.encoding or "utf-8").name != "utf-8":
        text = _NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], text)
    say(text)


def has_reader() -> bool:
    """Whether somebody may still read stdout: the other end of a pipe may have been closed, and nothing said so yet."""
    try:
        watched = select.poll()
        watched.register(sys.stdout, 0)
    except UnsupportedOperation:
        return True  # it is kept in memory
    return not watched.poll(0)


def forget_stdout() -> None:
    """Nobody reads stdout any more: what waits there to be written goes nowhere, and the end has nothing to tell."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def tell(text: str) -> None:
    """What accompanies a result, to stderr."""
    _write(sys.stderr, text)


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text + "\n")
        stream.flush()
    except BrokenPipeError:
        raise  # the reader has gone, and wants to hear nothing more
    except OSError as error:
        raise OutputError(f"{stream.name} cannot be written: {error.strerror}") from error


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


def table(keys: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows below the keys that they have."""
    return _columns(keys, rows, None)


def _columns(keys: Sequence[str], rows: Iterable[Mapping[str, Any]], width: int | None) -> str:
    """Numbers to the right, names to the left."""
    cells = [[_cell(row[key]) for key in keys] for row in rows]
    right = [key not in _NAME_KEYS for key in keys]
    text = _aligned([[key] for key in keys], cells, right, "  ")
    if width is None or _widest(text) <= width:
        return text
    folded = [key.replace("_", "_\n").split("\n") for key in keys]
    text = _aligned(folded, cells, right, "  ")
    return text if _widest(text) <= width else _aligned(folded, cells, right, " ")


def _aligned(headings: Sequence[Sequence[str]], cells: Sequence[Sequence[str]], right: Sequence[bool], gap: str) -> str:
    height = max(len(heading) for heading in headings)
    lines = [[(heading[i] if i < len(heading) else "") for heading in headings] for i in range(height)]
    lines += [list(row) for row in cells]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    return "\n".join(
        gap.join(
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(line, widths, right, strict=True)
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
