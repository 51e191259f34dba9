"""Who looks at a state sees what its instances have committed, whether it is in the table already or not."""

from __future__ import annotations

import random
from contextlib import closing
from pathlib import Path

import pytest

from streamer.errors import StateError
from streamer.state.base import Checkpoint, Entry, EntryKey
from streamer.state.reader import StateReader, has_state
from streamer.state.sqlite import SqliteStateStore
from streamer.testing.state_contract import at, entry

NOW_S = 1_000.0


def now() -> float:
    return NOW_S


def opened(folder: Path, instance: str = "count-0") -> SqliteStateStore:
    return SqliteStateStore(folder, "count", instance, 1, wall=now)


def read(folder: Path, name: str) -> tuple[list[tuple[EntryKey, Entry]], tuple[int, int]]:
    with closing(StateReader(folder, "count", wall=now)) as reader:
        return list(reader.entries(name)), reader.size(name)


def test_all_that_was_committed_is_seen_at_any_time_by_its_instance_and_by_readers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamer.state.recent.STATE_RECENT_ENTRIES", 20)
    monkeypatch.setattr("streamer.state.recent.STATE_MERGE_ENTRIES", 5)
    dice = random.Random(7)
    expected: dict[EntryKey, Entry] = {}
    with closing(opened(tmp_path, "count-0")) as first, closing(opened(tmp_path, "count-1")) as second:
        for store in (first, second):
            store.declare("m", "map")
        for _ in range(60):
            for group, store in ((3, first), (200, second)):
                entries: dict[EntryKey, Entry | None] = {}
                for _ in range(8):
                    where = at(dice.randrange(10), name="m", group=group, field=bytes((dice.randrange(4),)))
                    expires_s = dice.choice([0.0, 0.0, NOW_S - 1, NOW_S + 1])
                    entries[where] = dice.choice([None, entry(dice.random(), expires_s)])
                store.commit(Checkpoint(entries))
                for where, one in entries.items():
                    expected.pop(where, None)
                    if one is not None and not 0 < one.expires_s <= NOW_S:
                        expected[where] = one

                own = {where: one for where, one in expected.items() if where.group == group}
                of_key = {where: one for where, one in own.items() if where.key == at(3).key}
                assert list(store.scan("m", group)) == sorted(own.items())
                assert list(store.scan("m", group, at(3).key)) == sorted(of_key.items())
                assert all(store.get(where) == own.get(where) for where in entries)

            found, size = read(tmp_path, "m")

            assert found == sorted(expected.items())
            keys = {(where.group, where.key) for where in expected}
            size_bytes = sum(len(w.key) + len(w.field) + len(one.value) for w, one in expected.items())
            assert size == (len(keys), size_bytes)


def test_what_is_seen_is_one_checkpoint(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as store:
        store.commit(Checkpoint({at(n): entry("before") for n in range(2_500)}))
        with closing(StateReader(tmp_path, "count")) as reader:
            rows = reader.entries("counts")
            next(rows)
            store.commit(Checkpoint({at(n): entry("after") for n in range(2_500)}))
            store.own(1, 1)
            store.commit(Checkpoint({at(n): None for n in range(2_500)}))

            assert {one for _, one in rows} == {entry("before")}


def test_there_is_no_state_where_none_was_made(tmp_path: Path) -> None:
    assert not has_state(tmp_path / "count")
    (tmp_path / "state.sqlite").touch()
    assert not has_state(tmp_path)
    (tmp_path / "state.sqlite").write_bytes(b"a text of mine" * 100)
    with pytest.raises(StateError, match="file is not a database"):
        StateReader(tmp_path, "count")
