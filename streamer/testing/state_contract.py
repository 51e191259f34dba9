"""What every state store must do, as tests that a store's own test class inherits.

A node is simulated on a store in memory and goes to work on another, so all stores answer these tests alike. A class
that inherits `StateContract` gives a fixture `open_store`: each call begins a life of an instance on one and the same
disk, empty at the beginning of a test, and leaves the lives that are open as they are. So a store whose lock keeps a
second life of an instance out is to be opened past its lock: what must hold then is what these tests ask. The store's
time of day is the fixture `clock`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgpack

from streamer.errors import FencedError, StateError, StreamerError
from streamer.limits import STATE_NAMES_MAX, STATE_SCAN_ENTRIES
from streamer.state.base import Checkpoint, Entry, EntryKey, Kept, Outgoing, Ownership, StateStore
from streamer.testing.clock import VirtualClock


class OpenStore(Protocol):
    def __call__(self, instance: str = "count-0", epoch: int = 1, partition_epoch: int = 0) -> StateStore: ...


def at(key: object, *, name: str = "counts", group: int = 0, field: bytes = b"") -> EntryKey:
    return EntryKey(group, name, msgpack.packb(key), field)


def entry(value: object, expires_s: float = 0.0) -> Entry:
    return Entry(msgpack.packb(value), expires_s)


def refused(call: Callable[[], object], error: type[StreamerError], words: str) -> StreamerError:
    try:
        call()
    except error as refusal:
        assert words in str(refusal), refusal
        return refusal
    raise AssertionError(f"not refused: {words}")


class _Entries:
    def test_a_new_store_has_nothing(self, open_store: OpenStore) -> None:
        store = open_store()

        assert store.get(at("a")) is None
        assert list(store.scan("counts")) == []
        assert store.names() == {}
        assert store.restore() == Kept([], [], {})

    def test_what_a_checkpoint_has_written_is_read(self, open_store: OpenStore) -> None:
        store = open_store()

        store.commit(Checkpoint({at("a"): entry(1), at("b"): entry({"x": [1, 2]}, 5e9)}))

        assert store.get(at("a")) == entry(1)
        assert store.get(at("b")) == entry({"x": [1, 2]}, 5e9)
        assert store.get(at("c")) is None
        assert store.get(at("a", name="others")) is None
        assert store.get(at("a", group=1)) is None
        assert store.get(at("a", field=b"x")) is None

    def test_a_later_checkpoint_overwrites_and_deletes(self, open_store: OpenStore) -> None:
        store = open_store()
        store.commit(Checkpoint({at("a"): entry(1), at("b"): entry(2), at("c"): entry(3)}))

        store.commit(Checkpoint({at("a"): entry(10), at("b"): None, at("never there"): None}))

        assert dict(store.scan("counts")) == {at("a"): entry(10), at("c"): entry(3)}

    def test_any_bytes_come_back_as_they_were(self, open_store: OpenStore) -> None:
        store = open_store()
        values = [b"", b"\0" * 5_000, bytes(range(256)) * 1_000]
        keys: list[object] = [None, 0, -1, "", "größe", b"\xff" * 300, ["a", 1], 1.5, "k" * 3_000]
        entries = {
            at(key, field=field): Entry(value, 0.0) for key in keys for field in (b"", b"\xff") for value in values
        }

        store.commit(Checkpoint(entries))

        assert dict(store.scan("counts")) == entries
        assert all(store.get(key) == one for key, one in entries.items())

    def test_a_scan_goes_by_group_then_key_then_field(self, open_store: OpenStore) -> None:
        store = open_store()
        entries = {
            at(key, group=group, field=field): entry([key, field])
            for group in (255, 0, 7)
            for key in ("b", "a", "aa", 5, b"\xff\xff")
            for field in (b"\xff\xff", b"", b"\0", b"\0\0")
        }
        store.commit(Checkpoint(entries))

        found = list(store.scan("counts"))

        assert dict(found) == entries
        assert [key for key, _ in found] == sorted(entries)

    def test_a_scan_of_a_group_or_a_key_leaves_all_others_out(self, open_store: OpenStore) -> None:
        store = open_store()
        entries = {
            at(key, name=name, group=group, field=field): entry([name, group])
            for name in ("a", "aa", "b")
            for group in (0, 1, 255)
            for key in ("k", "kk", "", b"\xff")
            for field in (b"", b"x")
        }
        store.commit(Checkpoint(entries))

        def some(**parts: object) -> dict[EntryKey, Entry]:
            return {key: one for key, one in entries.items() if all(getattr(key, p) == v for p, v in parts.items())}

        packed: bytes = msgpack.packb("k")
        assert dict(store.scan("aa")) == some(name="aa")
        assert dict(store.scan("a", 255)) == some(name="a", group=255)
        assert dict(store.scan("a", 255, packed)) == some(name="a", group=255, key=packed)
        assert dict(store.scan("a", None, packed)) == some(name="a", key=packed)
        assert dict(store.scan("a", 3)) == dict(store.scan("c")) == {}

    def test_a_long_scan_gives_everything_once_also_while_commits_come_between(self, open_store: OpenStore) -> None:
        store = open_store()
        count = 2 * STATE_SCAN_ENTRIES + 3
        store.commit(Checkpoint({at(n): entry(n) for n in range(count)}))

        found = []
        for key, one in store.scan("counts"):
            found.append(key)
            if len(found) % 900 == 0:
                store.commit(Checkpoint({key: one, at(0): entry("other")}))

        assert found == sorted(at(n) for n in range(count))

    def test_names_are_those_with_entries_and_have_their_kinds(self, open_store: OpenStore) -> None:
        store = open_store()
        for name, kind in [("counts", "counter"), ("recent", "list"), ("unused", "map")]:
            store.declare(name, kind)
        assert store.names() == {}

        store.commit(Checkpoint({at("a"): entry(1), at("a", name="plain"): entry(1)}))
        store.commit(Checkpoint({at("a", name="recent", field=b"\0" * 8): entry(1)}))

        expected = {"counts": "counter", "plain": "value", "recent": "list"}
        assert store.names() == expected
        assert open_store(epoch=2).names() == expected

    def test_a_state_keeps_its_kind(self, open_store: OpenStore) -> None:
        store = open_store()
        store.declare("counts", "counter")
        store.commit(Checkpoint({at("a"): entry(1)}))
        store.declare("counts", "counter")

        store.declare("new", "list")

        refused(lambda: store.declare("counts", "map"), StateError, "is a counter, and not a map")
        refused(lambda: store.declare("new", "map"), StateError, "is a list, and not a map")
        refused(lambda: open_store(epoch=2).declare("counts", "list"), StateError, "'counts' of node count")

    def test_more_states_than_the_limit_are_refused_and_nothing_of_the_checkpoint_stays(
        self, open_store: OpenStore
    ) -> None:
        store = open_store()
        store.commit(Checkpoint({at("a", name=f"state {n}"): entry(n) for n in range(STATE_NAMES_MAX)}))
        one_more = Checkpoint({at("a", name="state 0"): None, at("a", name="one more"): entry(1)})

        refused(lambda: store.commit(one_more), StateError, f"more than {STATE_NAMES_MAX} keyed states")
        refused(lambda: store.declare("one more", "map"), StateError, f"more than {STATE_NAMES_MAX} keyed states")

        assert len(store.names()) == STATE_NAMES_MAX
        assert store.get(at("a", name="state 0")) == entry(0)
        store.commit(Checkpoint({at("a", name="state 5"): entry("goes on")}))


class _Past:
    """What an instance has left behind: marks, outgoing messages, facts."""

    def test_marks_are_appended_until_they_come_whole(self, open_store: OpenStore) -> None:
        store = open_store()
        for marks in (b"1", b"", b"2", b"1"):
            store.commit(Checkpoint(marks=marks))
        assert store.restore().marks == [b"1", b"2", b"1"]

        store.commit(Checkpoint(marks=b"all", marks_whole=True))
        store.commit(Checkpoint(marks=b"3"))
        assert store.restore().marks == [b"all", b"3"]

        store.commit(Checkpoint(marks_whole=True))
        assert store.restore().marks == []

    def test_outgoing_messages_stay_in_their_order_until_they_are_settled(self, open_store: OpenStore) -> None:
        store = open_store()
        large = bytes(range(256)) * 2_000
        store.commit(Checkpoint(outgoing=[Outgoing(7, b"seven"), Outgoing(2**62, b"last"), Outgoing(0, large)]))
        store.commit(Checkpoint(outgoing=[Outgoing(9, b"nine"), Outgoing(10, b"ten")], settled=[7, 10, 11]))

        assert store.restore().outgoing == [Outgoing(0, large), Outgoing(9, b"nine"), Outgoing(2**62, b"last")]

    def test_facts_are_overwritten_one_by_one(self, open_store: OpenStore) -> None:
        store = open_store()
        store.commit(Checkpoint(facts={"next": b"1", "length": b"100"}))
        store.commit(Checkpoint(facts={"next": b"2", "empty": b""}))

        assert store.restore().facts == {"next": b"2", "length": b"100", "empty": b""}

    def test_a_new_life_begins_with_what_the_one_before_committed(self, open_store: OpenStore) -> None:
        checkpoint = Checkpoint({at("a"): entry(1)}, b"marks", False, [Outgoing(3, b"three")], [], {"next": b"4"})
        open_store(epoch=1).commit(checkpoint)

        store = open_store(epoch=5)

        assert store.restore() == Kept([b"marks"], [Outgoing(3, b"three")], {"next": b"4"})
        assert store.get(at("a")) == entry(1)

    def test_instances_have_a_past_of_their_own(self, open_store: OpenStore) -> None:
        first, second = open_store("count-0"), open_store("count-1")
        first.commit(Checkpoint(marks=b"of 0", outgoing=[Outgoing(1, b"0")], facts={"next": b"0"}))
        second.commit(Checkpoint(marks=b"of 1", outgoing=[Outgoing(1, b"1")], facts={"next": b"1"}))
        first.commit(Checkpoint(settled=[1], marks=b"more of 0"))

        assert first.restore() == Kept([b"of 0", b"more of 0"], [], {"next": b"0"})
        assert second.restore() == Kept([b"of 1"], [Outgoing(1, b"1")], {"next": b"1"})

    def test_a_new_owner_gets_the_marks_of_all(self, open_store: OpenStore) -> None:
        first, second = open_store("count-0"), open_store("count-1")
        first.commit(Checkpoint(marks=b"of 0"))
        second.commit(Checkpoint(marks=b"of 1"))
        first.commit(Checkpoint(marks=b"more of 0", facts={"next": b"0"}))

        kept = open_store("count-2").restore(all_marks=True)

        assert kept == Kept([b"of 0", b"of 1", b"more of 0"], [], {})

    def test_marks_that_come_whole_leave_those_of_others(self, open_store: OpenStore) -> None:
        first, second = open_store("count-0"), open_store("count-1")
        first.commit(Checkpoint(marks=b"of 0"))
        second.commit(Checkpoint(marks=b"of 1"))
        first.commit(Checkpoint(marks=b"whole of 0", marks_whole=True))

        assert first.restore(all_marks=True).marks == [b"of 1", b"whole of 0"]


class _Fencing:
    def test_a_life_that_was_replaced_writes_nothing_more(self, open_store: OpenStore) -> None:
        old = open_store(epoch=1)
        old.commit(Checkpoint({at("a"): entry(1)}))
        new = open_store(epoch=2)
        too_late = Checkpoint(
            {at("a"): entry("old"), at("b"): entry("old")}, b"old", True, [Outgoing(1, b"")], (), {"x": b""}
        )

        refused(lambda: old.commit(too_late), FencedError, "instance count-0 of epoch 1 was replaced: epoch 2")
        refused(lambda: old.own(1, 1), FencedError, "epoch 2")

        new.commit(Checkpoint({at("c"): entry(3)}))
        refused(lambda: old.commit(too_late), FencedError, "epoch 2")
        assert dict(new.scan("counts")) == {at("a"): entry(1), at("c"): entry(3)}
        assert new.restore() == Kept([], [], {})

    def test_an_older_life_cannot_begin_any_more(self, open_store: OpenStore) -> None:
        open_store(epoch=3)

        refused(lambda: open_store(epoch=2), FencedError, "instance count-0 of epoch 2 was replaced: epoch 3")

    def test_a_life_that_the_machine_has_restarted_has_the_same_epoch(self, open_store: OpenStore) -> None:
        open_store(epoch=3).commit(Checkpoint({at("a"): entry(1)}))

        again = open_store(epoch=3)
        again.commit(Checkpoint({at("b"): entry(2)}))

        assert dict(again.scan("counts")) == {at("a"): entry(1), at("b"): entry(2)}

    def test_epochs_of_instances_know_nothing_of_each_other(self, open_store: OpenStore) -> None:
        first, second = open_store("count-0", 5), open_store("count-1", 1)

        for store in (first, second, first):
            store.commit(Checkpoint({at("a"): entry(1)}))

    def test_groups_belong_to_one_replica_at_first(self, open_store: OpenStore) -> None:
        assert open_store().ownership() == Ownership(0, 1)

    def test_who_has_not_heard_that_the_groups_were_dealt_anew_is_fenced(self, open_store: OpenStore) -> None:
        first, second = open_store("count-0", 1, 4), open_store("count-1", 1, 4)
        first.own(4, 2)
        second.commit(Checkpoint({at("a"): entry(1)}))

        first.own(5, 3)

        assert second.ownership() == Ownership(5, 3)
        refused(
            lambda: second.commit(Checkpoint({at("a"): entry("old")})),
            FencedError,
            "instance count-1 knows ownership 4 of the key groups, and they were dealt anew: 5",
        )
        assert first.get(at("a")) == entry(1)
        first.commit(Checkpoint({at("b"): entry(2)}))
        second.own(5, 3)
        second.commit(Checkpoint({at("a"): entry(3)}))
        assert dict(second.scan("counts")) == {at("a"): entry(3), at("b"): entry(2)}

    def test_what_all_have_written_goes_to_the_new_owners(self, open_store: OpenStore) -> None:
        stores = [open_store(f"count-{n}", 1, 4) for n in range(3)]
        entries = {}
        for times in range(5):
            for group, store in enumerate(stores):
                mine = {at(key, group=group): entry([times, key]) for key in range(times, times + 3)}
                gone = {at(times - 1, group=group): None}
                store.commit(Checkpoint({**mine, **gone}))
                entries.update(mine)
                entries.pop(at(times - 1, group=group), None)

        for store in stores[:2]:
            store.own(5, 2)
        stores[1].commit(Checkpoint({at("new", group=2): entry("of the new owner")}))
        stores[0].own(6, 1)

        entries[at("new", group=2)] = entry("of the new owner")
        assert dict(stores[0].scan("counts")) == entries
        refused(lambda: stores[1].commit(Checkpoint({at(4, group=2): entry("old")})), FencedError, "dealt anew: 6")
        again = open_store("count-0", 2, 6)
        assert dict(again.scan("counts")) == entries
        assert again.get(at(4, group=2)) == entries[at(4, group=2)]

    def test_a_life_that_begins_under_a_newer_ownership_has_taken_it(self, open_store: OpenStore) -> None:
        old = open_store("count-0", 1, 4)
        old.commit(Checkpoint({at("a"): entry(1)}))

        new = open_store("count-1", 1, 5)

        assert new.ownership().partition_epoch == 5
        assert new.get(at("a")) == entry(1)
        refused(lambda: old.commit(Checkpoint({at("a"): entry(2)})), FencedError, "dealt anew: 5")

    def test_an_ownership_is_not_taken_back(self, open_store: OpenStore) -> None:
        store = open_store()
        store.own(5, 3)

        refused(lambda: store.own(4, 2), FencedError, "dealt anew: 5")

        assert open_store("count-1", 1, 5).ownership() == Ownership(5, 3)


class _Expiry:
    def test_an_entry_that_has_expired_is_read_no_more(self, open_store: OpenStore, clock: VirtualClock) -> None:
        store, now_s = open_store(), clock.wall()
        store.commit(
            Checkpoint({at("soon"): entry(1, now_s + 1), at("late"): entry(2, now_s + 9), at("never"): entry(3)})
        )
        clock.run_until(clock.now() + 1)

        for _ in range(2):
            assert store.get(at("soon")) is None
            assert store.get(at("late")) == entry(2, now_s + 9)
            assert dict(store.scan("counts")) == {at("late"): entry(2, now_s + 9), at("never"): entry(3)}
            assert list(store.scan("counts", 0, at("soon").key)) == []
            store.commit(Checkpoint())

    def test_an_entry_that_is_written_again_lives_on(self, open_store: OpenStore, clock: VirtualClock) -> None:
        store, now_s = open_store(), clock.wall()
        store.commit(Checkpoint({at("a"): entry(1, now_s + 1), at("b"): entry(2, now_s + 1)}))
        clock.run_until(clock.now() + 5)

        store.commit(Checkpoint({at("a"): entry(10, now_s + 9), at("b"): entry(20)}))
        store.commit(Checkpoint())

        assert dict(store.scan("counts")) == {at("a"): entry(10, now_s + 9), at("b"): entry(20)}


class StateContract(_Entries, _Past, _Fencing, _Expiry):
    """Inherit this, and give the fixtures `open_store` and `clock`."""
