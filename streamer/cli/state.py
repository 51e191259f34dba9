"""`streamer state ls`, `get` and `export`: what the nodes of a job keep, as their last checkpoints have it.

They read the databases of the nodes and ask nobody, so they answer while the job is at work, hangs, or has ended. What
is long goes into a temporary file first: whoever reads it slowly must not keep the node's database open.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import groupby
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any

from streamer.cli.exits import OK
from streamer.cli.jobs import nearest, opened_jobs
from streamer.cli.output import json_line, say, say_json, table
from streamer.connectors.json_form import to_json
from streamer.control.records import KeptJob
from streamer.errors import MessageError, NoSuchJobError, NoSuchStateError, OptionError, OutputError
from streamer.limits import MIB
from streamer.protocol.codec import unpack_one
from streamer.state.base import LIST, MAP, VALUE, Entry, EntryKey
from streamer.state.cells import Coder
from streamer.state.home import state_folder
from streamer.state.reader import StateReader, has_state

_SPOOL_BYTES = 16 * MIB
_BLOCK_BYTES = 256 * 1024
_COLUMNS = ("node", "state", "kind", "keys", "bytes")
_NOTHING = object()

Spool = SpooledTemporaryFile[str]
Rows = list[tuple[EntryKey, Entry]]


def ls(name: str, node: str | None, *, as_json: bool) -> int:
    kept = _found(name, node)
    rows = []
    for one in [node] if node is not None else kept.plan.nodes:
        if has_state(_folder(kept, one)):
            with closing(StateReader(_folder(kept, one), one)) as reader:
                for state, kind in reader.names.items():
                    keys, size_bytes = reader.size(state)
                    rows.append({"node": one, "state": state, "kind": kind, "keys": keys, "bytes": size_bytes})
    if as_json:
        say(json_line(rows))
    else:
        say(table(_COLUMNS, rows))
    return OK


def get(name: str, node: str, state: str, key: str | None, field: str | None, *, as_json: bool) -> int:
    with _spool() as spool:
        with _reader(name, node) as reader:
            kind = _kind(reader, node, state)
            if field is not None and kind not in (LIST, MAP):
                raise OptionError(f"state {state} is a {kind}, and has no fields", remedy="Leave FIELD out.")
            if key is None:
                rows_by_key: Iterable[Rows] = _by_key(reader.entries(state))
            else:
                rows_by_key = _asked_for(reader, node, state, key, field)
            shown = kind if field is None else VALUE
            _spool_lines(spool, (_line(shown, rows, key is None, as_json=as_json) for rows in rows_by_key))
        _say_spool(spool)
    return OK


def export(name: str, node: str, state: str | None) -> int:
    with _spool() as spool:
        with _reader(name, node) as reader:
            for one in list(reader.names) if state is None else [state]:
                kind = _kind(reader, node, one)
                _spool_lines(spool, (_exported(kind, at, entry) for at, entry in reader.entries(one)))
        _say_spool(spool)
    return OK


def _asked_for(reader: StateReader, node: str, state: str, key: str, field: str | None) -> list[Rows]:
    """The entries of a key, or of a field of it, by group. Raises NoSuchStateError if there are none."""
    found = list(_by_key(_of_key(reader, state, key)))
    if field is not None:
        kind = reader.names[state]
        found = [rows for rows in (_of_field(kind, rows, field) for rows in found) if rows]
    if not found:
        what = f"key {key}" if field is None else f"field {field} of key {key}"
        raise NoSuchStateError(
            f"state {state} of node {node} has nothing for {what}",
            remedy="`streamer state get JOB NODE NAME` shows all keys. Write them as JSON, or a text as a plain word.",
        )
    return found


def _found(name: str, node: str | None) -> KeptJob:
    with opened_jobs() as jobs:
        kept = jobs.find_here(name)
    if node is not None and node not in kept.plan.nodes:
        raise NoSuchJobError(
            f"pipeline {kept.plan.pipeline} has no node {node}{nearest(node, list(kept.plan.nodes))}",
            remedy="Name one of its nodes: `streamer status JOB` lists them.",
        )
    return kept


def _folder(kept: KeptJob, node: str) -> Path:
    return state_folder(Path(kept.line.facts.folder), node)


@contextmanager
def _reader(name: str, node: str) -> Iterator[StateReader]:
    kept = _found(name, node)
    folder = _folder(kept, node)
    if not has_state(folder):
        raise NoSuchStateError(f"node {node} of job {kept.job} has no state")
    with closing(StateReader(folder, node)) as reader:
        yield reader


def _kind(reader: StateReader, node: str, state: str) -> str:
    kind = reader.names.get(state)
    if kind is None:
        raise NoSuchStateError(f"node {node} has no state {state}{nearest(state, list(reader.names))}")
    return kind


def _by_key(entries: Iterable[tuple[EntryKey, Entry]]) -> Iterator[Rows]:
    """The entries of each key together; a key in several groups counts as several."""
    for _, rows in groupby(entries, lambda row: (row[0].group, row[0].key)):
        yield list(rows)


def _of_key(reader: StateReader, state: str, text: str) -> Rows:
    """What the key that is meant has; a number that is none may be a text."""
    for key in _meant(text):
        if found := list(reader.entries(state, key)):
            return found
    return []


def _of_field(kind: str, rows: Rows, text: str) -> Rows:
    if kind == LIST:
        if not text.isdecimal():
            raise OptionError(f"{text!r} is no place in a list", remedy="Give the number of the element, from 0.")
        return rows[int(text) : int(text) + 1]
    for field in _meant(text):
        if found := [row for row in rows if row[0].field == field]:
            return found
    return []


def _meant(text: str) -> Iterator[bytes]:
    """The packed keys that a text may stand for."""
    coder = Coder()
    try:
        value: object = json.loads(text)
    except ValueError:
        value = _NOTHING
    if isinstance(value, dict) and set(value) == {"$base64"}:
        with suppress(ValueError):
            value = b64decode(str(value["$base64"]))
    for one in (value, text):
        if one is not _NOTHING:
            try:
                yield coder.key(_as_key(one))[1]
            except MessageError:
                continue  # a value that is no key of any state


def _as_key(value: Any) -> Any:
    return tuple(map(_as_key, value)) if isinstance(value, list) else value


def _line(kind: str, rows: Rows, with_key: bool, *, as_json: bool) -> str:
    at, entry = rows[0]
    key = unpack_one(at.key)
    value: object
    if kind == LIST:
        value = [unpack_one(one.value) for _, one in rows]
    elif kind == MAP:
        value = {_as_key(unpack_one(where.field)): unpack_one(one.value) for where, one in rows}
    else:
        value = unpack_one(entry.value)
    if as_json:
        expires = None if kind in (LIST, MAP) else entry.expires_s or None
        return to_json({"group": at.group, "key": key, "value": value, "expires": expires})
    return f"{to_json(key)}\t{to_json(value)}" if with_key else to_json(value)


def _exported(kind: str, at: EntryKey, entry: Entry) -> str:
    field: object = None
    if kind == LIST:
        field = int.from_bytes(at.field, "big")
    elif kind == MAP:
        field = unpack_one(at.field)
    return to_json(
        {
            "state": at.name,
            "kind": kind,
            "group": at.group,
            "key": unpack_one(at.key),
            "field": field,
            "value": unpack_one(entry.value),
            "expires": entry.expires_s or None,
        }
    )


@contextmanager
def _spool() -> Iterator[Spool]:
    """Room for lines that are said when nothing is left to read. Raises OutputError if it cannot be had."""
    try:
        with SpooledTemporaryFile(_SPOOL_BYTES, "w+", encoding="utf-8", newline="\n") as spool:
            yield spool
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise  # of whoever reads what is said
        raise OutputError(
            f"what the state has cannot be put aside: {error}", remedy="Make room for temporary files, or set TMPDIR."
        ) from error


def _spool_lines(spool: Spool, lines: Iterable[str]) -> None:
    spool.writelines(f"{line}\n" for line in lines)


def _say_spool(spool: Spool) -> None:
    spool.seek(0)
    while block := spool.readlines(_BLOCK_BYTES):
        say_json("".join(block).removesuffix("\n"))
