"""Keyed state: what a handler pays for a count or a value, and what a checkpoint pays for each key that has changed.

A count is compared with one in a dict, which is what a node would have without it. The checkpoints are of the same keys
again and again, which is what a node that counts does; they include what goes into the table later.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path

from benchmarks.micro.timing import FRAME, Case, message
from streamer import clock
from streamer.state.base import Checkpoint
from streamer.state.keyed import KeyedState
from streamer.state.sqlite import SqliteStateStore

_KEYS = 1_000


def cases() -> dict[str, Case]:
    keys = [f"user{n:07}" for n in range(_KEYS)]
    few = keys[:FRAME]
    store = _store()
    state = KeyedState(store, clock.wall)
    counts, last = state.counter("counts"), state.value("last")
    plain: dict[str, int] = {}
    body = message(7)

    def count_plainly() -> None:
        for key in few:
            plain[key] = plain.get(key, 0) + 1

    def count() -> None:
        for key in few:
            state.undo.last = None
            counts.add(key)

    def keep() -> None:
        for key in few:
            state.undo.last = None
            last.set(key, body)

    def count_all_and_commit() -> None:
        for key in keys:
            counts.add(key)
        store.commit(Checkpoint(state.take_dirty()))

    count_all_and_commit()
    return {
        "a count in a dict": Case(count_plainly),
        "counter.add": Case(count, reference="a count in a dict"),
        "value.set": Case(keep),
        "counter.add and a checkpoint of each key": Case(count_all_and_commit, _KEYS),
    }


def _store() -> SqliteStateStore:
    folder = Path(tempfile.mkdtemp(prefix="benchmark-"))
    store = SqliteStateStore(folder, "count", "count-0", 1)
    weakref.finalize(store, shutil.rmtree, folder)
    return store
