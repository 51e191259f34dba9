"""Keyed state as algorithms use it, and what the runtime does with it: undo, checkpoints, a new life."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy
import pytest

from streamer.errors import MessageError, StateError
from streamer.limits import STATE_KEY_BYTES_MAX, STATE_NAMES_MAX, STATE_VALUE_BYTES_MAX
from streamer.state.base import Checkpoint, StateStore
from streamer.state.keyed import KeyedState
from streamer.state.memory import MemoryStateDisk, MemoryStateStore
from streamer.state.sqlite import SqliteStateStore
from streamer.testing.clock import VirtualClock
from streamer.testing.state_contract import at, entry


class Node:
    """An instance whose handler has this state, on a disk of its own."""

    def __init__(self, open_store: Callable[[int], StateStore], clock: VirtualClock) -> None:
        self._open_store = open_store
        self._clock = clock
        self._epoch = 0
        self.store: StateStore
        self.state: KeyedState
        self.begin()

    def begin(self) -> KeyedState:
        """A new life: whatever was not committed is gone."""
        if self._epoch:
            self.store.close()
        self._epoch += 1
        self.store = self._open_store(self._epoch)
        self.state = KeyedState(self.store, self._clock.wall)
        return self.state

    def checkpoint(self) -> int:
        """Commit what is dirty, and give how many entries that were."""
        dirty = self.state.take_dirty()
        self.store.commit(Checkpoint(dirty))
        return len(dirty)

    def restarted(self) -> KeyedState:
        self.checkpoint()
        return self.begin()

    def wait(self, time_s: float) -> None:
        self._clock.run_until(self._clock.now() + time_s)


@pytest.fixture(params=["memory", "sqlite"])
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Node]:
    clock, disk = VirtualClock(), MemoryStateDisk("count")

    def open_store(epoch: int) -> StateStore:
        if request.param == "memory":
            return MemoryStateStore(disk, "count-0", epoch, wall=clock.wall)
        return SqliteStateStore(tmp_path, "count", "count-0", epoch, wall=clock.wall)

    node = Node(open_store, clock)
    yield node
    node.store.close()


class TestCounters:
    def test_a_counter_begins_at_0_and_gives_its_new_number(self, node: Node) -> None:
        counts = node.state.counter("counts")

        assert counts.get("a") == counts["a"] == 0
        assert counts.add("a") == 1
        assert counts.add("a", 4) == 5
        assert counts.add("a", -7) == -2
        assert counts.add("a", 0.5) == -1.5
        assert counts.add() == counts.get() == counts[None] == 1
        assert (counts["a"], counts["b"]) == (-1.5, 0)

    def test_it_goes_on_in_the_next_life(self, node: Node) -> None:
        counts = node.state.counter("counts")
        counts.add("a", 3)
        counts.add(("a", 1), 4)

        counts = node.restarted().counter("counts")

        assert (counts["a"], counts["a", 1], counts["b"]) == (3, 4, 0)
        assert counts.add("a") == 4
        assert list(node.restarted().counter("counts").items()) == [(("a", 1), 4), ("a", 4)]

    def test_a_deleted_one_begins_anew(self, node: Node) -> None:
        counts = node.state.counter("counts")
        counts.add("a", 3)
        counts.add("b", 3)
        node.checkpoint()

        del counts["a"]
        del counts["never there"]

        assert "a" not in counts
        assert "b" in counts
        counts = node.restarted().counter("counts")
        assert list(counts.items()) == [("b", 3)]
        assert counts.add("a") == 1

    def test_numbers_of_numpy_are_numbers(self, node: Node) -> None:
        counts = node.state.counter("counts")

        for n in (numpy.int64(2), numpy.float64(0.5), numpy.uint8(1), True):
            counts.add("a", n)  # type: ignore[arg-type]  # as a user may

        assert counts["a"] == 4.5
        assert type(node.restarted().counter("counts")["a"]) is float

    @pytest.mark.parametrize(
        "n",
        ["1", None, [1], Fraction(1, 2), 1j, numpy.array([1, 2])],
        ids=lambda value: "object" if type(value) is object else repr(value),
    )
    def test_what_is_no_number_is_refused(self, node: Node, n: Any) -> None:
        counts = node.state.counter("counts")
        counts.add("a")

        for key in ("a", "b"):
            with pytest.raises(MessageError, match="cannot be counted"):
                counts.add(key, n)

        assert list(counts.items()) == [("a", 1)]

    def test_a_number_of_more_than_64_bits_is_refused(self, node: Node) -> None:
        counts = node.state.counter("counts")
        counts.add("a", 2**64 - 1)

        with pytest.raises(MessageError, match="more than 64 bits"):
            counts.add("a")

        assert node.restarted().counter("counts")["a"] == 2**64 - 1

    @pytest.mark.parametrize("first", [-(2**63), -(2**30) - 1, -2, 2**30 - 2, 2**63 - 2, 2**64 - 3, -0.5, math.inf])
    def test_one_after_the_other_is_added_whatever_its_size(self, node: Node, first: float) -> None:
        counts = node.state.counter("counts")
        counts.add("a", first)

        assert [counts.add("a"), counts.add("a", True)] == [first + 1, first + 2]  # a number, for once

        assert node.restarted().counter("counts")["a"] == first + 2

    def test_what_goes_below_64_bits_is_refused(self, node: Node) -> None:
        counts = node.state.counter("counts")
        counts.add("a", -(2**63))

        with pytest.raises(MessageError, match="more than 64 bits"):
            counts.add("a", -1)

        assert counts["a"] == -(2**63)


class TestValues:
    def test_a_value_is_what_was_set_last(self, node: Node) -> None:
        last = node.state.value("last", default="none")

        assert last.get("a") == "none"
        last.set("a", {"x": [1, 2.5, None], "größe": b"\xff"})
        last["b"] = "größe"
        last.set(None, True)

        for _ in range(2):
            assert last.get("a") == last["a"] == {"x": [1, 2.5, None], "größe": b"\xff"}
            assert last["b"] == "größe"
            assert last.get() is True
            assert "a" in last
            assert "c" not in last
            last = node.restarted().value("last", default="none")

        del last["b"]
        assert last["b"] == "none"
        assert list(node.restarted().value("last", default="none").items()) == [
            ("a", {"x": [1, 2.5, None], "größe": b"\xff"}),
            (None, True),
        ]

    @pytest.mark.parametrize(
        "value",
        [None, False, 0, -(2**63), 2**64 - 1, 0.0, math.inf, "", "a" * 40, "ü", b"", b"a", [], {}, [[1]], {1: 2},
         datetime(2024, 1, 1, tzinfo=UTC)],
        ids=lambda value: "object" if type(value) is object else repr(value),
    )  # fmt: skip
    def test_any_value_comes_back(self, node: Node, value: object) -> None:
        last = node.state.value("last", default="none")
        last.set("a", value)
        assert last["a"] == value

        found = node.restarted().value("last", default="none")["a"]

        assert found == value
        assert type(found) is type(value)

    def test_an_array_of_any_size_comes_back(self, node: Node) -> None:
        small, large = numpy.arange(6).reshape(2, 3), numpy.zeros(100_000)
        node.state.value("last")["a"] = {"small": small, "large": large, "bytes": b"x" * 200_000}

        found = node.restarted().value("last")["a"]

        assert (found["small"] == small).all()
        assert (found["large"] == large).all()
        assert found["bytes"] == b"x" * 200_000

    def test_what_is_stored_and_what_is_read_are_their_owners_to_change(self, node: Node) -> None:
        default: list[int] = []
        last = node.state.value("last", default=default)
        mine = {"seen": [1]}
        last.set("a", mine)

        mine["seen"].append(2)
        last.get("a")["seen"].append(3)
        last.get("b").append(4)
        default.append(5)

        assert last["a"] == {"seen": [1]}
        assert last["b"] == []

    @pytest.mark.parametrize(
        "value",
        [object(), {1, 2}, 2**64, "\ud800", [lambda: 0], {"a": {"b": 1j}}],
        ids=["object", "set", "int", "surrogate", "function", "complex"],
    )
    def test_a_value_that_cannot_be_packed_is_refused_and_nothing_changes(self, node: Node, value: object) -> None:
        last, recent, fields = node.state.value("last"), node.state.list("recent"), node.state.map("fields")
        last["a"] = "before"
        node.checkpoint()

        refused = "cannot be kept as state"
        with pytest.raises(MessageError, match=refused):
            last.set("a", value)
        with pytest.raises(MessageError, match=refused):
            recent.extend("a", [1, value])
        with pytest.raises(MessageError, match=refused):
            fields.put("a", "b", value)
        with pytest.raises(MessageError, match=refused):
            node.state.value("other", default=value)

        assert last["a"] == "before"
        assert (recent.get("a"), list(fields.items("a"))) == ([], [])
        assert node.checkpoint() == 0

    def test_a_value_over_the_limit_is_refused(self, node: Node) -> None:
        with pytest.raises(MessageError, match="STATE_VALUE_BYTES_MAX"):
            node.state.value("last").set("a", b"x" * STATE_VALUE_BYTES_MAX)


class TestLists:
    def test_elements_stay_in_their_order(self, node: Node) -> None:
        events = node.state.list("events")
        events.append("a", {"n": 1})
        events.extend("a", [2, "three"])
        node.checkpoint()
        events.append("b", "other")
        events.append("a", None)

        for _ in range(2):
            assert events.get("a") == [{"n": 1}, 2, "three", None]
            assert (events.len("a"), events.len("c")) == (4, 0)
            assert events.get("b") == ["other"]
            events = node.restarted().list("events")

    def test_a_checkpoint_writes_what_was_appended_since_the_last_one(self, node: Node) -> None:
        events = node.state.list("events")
        events.extend("a", range(100))
        assert node.checkpoint() == 100

        events.append("a", 100)

        assert node.checkpoint() == 1
        assert node.begin().list("events").get("a") == list(range(101))

    def test_a_list_that_was_cleared_begins_anew(self, node: Node) -> None:
        events = node.state.list("events")
        events.extend("a", range(10))
        events.clear("never there")
        events = node.restarted().list("events")

        events.clear("a")
        assert (events.get("a"), events.len("a")) == ([], 0)
        events.append("a", "new")

        assert events.get("a") == ["new"]
        assert node.restarted().list("events").get("a") == ["new"]

    def test_the_order_holds_for_many(self, node: Node) -> None:
        node.state.list("events").extend(None, range(1_000))

        assert node.restarted().list("events").get() == list(range(1_000))


class TestMaps:
    def test_fields_are_put_read_and_removed_one_by_one(self, node: Node) -> None:
        fields = node.state.map("fields")
        fields.put("a", "x", {"n": [1]})
        fields.put("a", 2, "two")
        fields.put("b", "x", "other")
        node.checkpoint()
        fields.remove("a", 2)
        fields.remove("a", "never there")
        fields.put("a", "y", None)

        for _ in range(2):
            assert fields.get("a", "x") == {"n": [1]}
            assert fields.get("a", 2) is None
            assert fields.get("a", 2, "gone") == "gone"
            assert fields.get("a", "y", "gone") is None
            assert list(fields.items("a")) == [("x", {"n": [1]}), ("y", None)]
            assert list(fields.items("c")) == []
            fields = node.restarted().map("fields")

    def test_a_checkpoint_writes_the_fields_that_changed(self, node: Node) -> None:
        fields = node.state.map("fields")
        for n in range(50):
            fields.put("a", n, n)
        assert node.checkpoint() == 50

        fields.put("a", 7, "seven")

        assert node.checkpoint() == 1
        assert dict(node.begin().map("fields").items("a")) == {**{n: n for n in range(50)}, 7: "seven"}

    def test_a_map_that_was_cleared_begins_anew(self, node: Node) -> None:
        fields = node.state.map("fields")
        for n in range(5):
            fields.put("a", n, n)
        fields = node.restarted().map("fields")
        assert fields.get("a", 1) == 1

        fields.clear("a")
        fields.put("a", 3, "new")

        assert list(fields.items("a")) == [(3, "new")]
        assert fields.get("a", 1) is None
        assert list(node.restarted().map("fields").items("a")) == [(3, "new")]

    def test_one_field_of_many_is_read_alone(self, node: Node) -> None:
        for n in range(5):
            node.state.map("fields").put("a", n, n)
        fields = node.restarted().map("fields")

        assert fields.get("a", 2) == 2
        fields.put("a", 3, "three")
        assert dict(fields.items("a")) == {0: 0, 1: 1, 2: 2, 3: "three", 4: 4}


class TestKeys:
    def test_keys_that_are_equal_are_one_key_in_each_life(self, node: Node) -> None:
        counts = node.state.counter("counts")
        ones: list[object] = [1, 1.0, True, numpy.int64(1), numpy.float64(1.0)]
        for key in (*ones, ("a", (1.0,)), ("a", (1,)), 0, -0.0, "1", b"1"):
            counts.add(key)

        expected = [(0, 2), (1, 5), (("a", (1,)), 2), ("1", 1), (b"1", 1)]
        assert list(counts.items()) == expected
        counts = node.restarted().counter("counts")
        assert list(counts.items()) == expected
        assert [counts[key] for key in (1.0, True, ("a", (True,)), -0.0)] == [5, 5, 2, 2]

    @pytest.mark.parametrize(
        "key",
        [[1], {}, {1}, ("a", [1]), object(), 2**70, math.nan, ("a", math.nan), "\ud800", Fraction(1, 2)],
        ids=lambda value: "object" if type(value) is object else repr(value),
    )
    def test_what_is_no_key_is_refused_everywhere(self, node: Node, key: Any) -> None:
        state = node.state
        counts, last, events, fields = state.counter("c"), state.value("v"), state.list("l"), state.map("m")
        calls: list[Callable[[], object]] = [
            lambda: counts.add(key),
            lambda: counts[key],
            lambda: last.set(key, 1),
            lambda: last.get(key),
            lambda: key in last,
            lambda: events.append(key, 1),
            lambda: events.get(key),
            lambda: fields.put(key, "f", 1),
            lambda: fields.put("k", key, 1),
            lambda: fields.get("k", key),
            lambda: fields.remove("k", key),
        ]

        for call in calls:
            with pytest.raises(MessageError, match="key"):
                call()

        assert node.checkpoint() == 0

    def test_a_key_over_the_limit_is_refused(self, node: Node) -> None:
        with pytest.raises(MessageError, match="STATE_KEY_BYTES_MAX"):
            node.state.counter("counts").add("x" * STATE_KEY_BYTES_MAX)

    def test_items_come_in_the_same_order_in_each_life(self, node: Node) -> None:
        last = node.state.value("last")
        keys = ["b", 3, "a", None, -1, 300, b"z", ("t", 1)]
        for key in keys[:4]:
            last[key] = key
        node.checkpoint()
        for key in keys[4:]:
            last[key] = key

        before = list(last.items())

        assert {key for key, _ in before} == set(keys)
        assert list(node.restarted().value("last").items()) == before

    def test_a_state_may_be_changed_while_its_items_are_read(self, node: Node) -> None:
        counts = node.state.counter("counts")
        for n in range(10):
            counts.add(n, n)
        node.checkpoint()

        for key, number in counts.items():
            if number % 2:
                del counts[key]
            else:
                counts.add(key + 100)

        assert sorted(dict(counts.items())) == [0, 2, 4, 6, 8, 100, 102, 104, 106, 108]


class TestNames:
    def test_one_state_is_asked_for_as_often_as_one_likes(self, node: Node) -> None:
        assert node.state.counter("counts") is node.state.counter("counts")
        assert node.state.value("last", 0, 5.0) is node.state.value("last", default=0, ttl_s=5)

    def test_a_name_is_one_kind_of_state(self, node: Node) -> None:
        node.state.counter("counts").add("a")
        node.state.list("events", ttl_s=5)
        node.state.value("last", default=0)

        for call in (
            lambda: node.state.value("counts"),
            lambda: node.state.counter("counts", ttl_s=1),
            lambda: node.state.list("events"),
            lambda: node.state.value("last"),
        ):
            with pytest.raises(StateError, match=r"state '\w+' is a \w+ here, and was asked for as a"):
                call()

    def test_a_name_keeps_its_kind_in_the_next_life_and_its_time_to_live_may_change(self, node: Node) -> None:
        node.state.counter("counts").add("a")
        state = node.restarted()

        with pytest.raises(StateError, match="state 'counts' of node count is a counter, and not a map"):
            state.map("counts")
        assert state.counter("counts", ttl_s=5).add("a") == 2

    @pytest.mark.parametrize("name", ["", "a\nb", "x" * 201, None, 5])
    def test_a_name_that_is_none_is_refused(self, node: Node, name: Any) -> None:
        with pytest.raises(StateError, match="is no name for a state"):
            node.state.counter(name)

    @pytest.mark.parametrize("ttl_s", [0, -1, math.nan, "5"])
    def test_a_time_to_live_that_is_none_is_refused(self, node: Node, ttl_s: Any) -> None:
        with pytest.raises(StateError, match="cannot live for"):
            node.state.counter("counts", ttl_s=ttl_s)

    def test_a_name_for_each_message_is_refused_before_a_checkpoint_fails_of_it(self, node: Node) -> None:
        for n in range(STATE_NAMES_MAX):
            node.state.counter(f"counts of {n}")

        with pytest.raises(StateError, match=f"more than {STATE_NAMES_MAX} keyed states") as refusal:
            node.state.counter("one more")
        assert "use what comes in messages as keys" in refusal.value.advice


class TestTimeToLive:
    def test_an_entry_is_gone_when_its_time_is_over(self, node: Node) -> None:
        state = node.state
        counts, last = state.counter("c", ttl_s=10), state.value("v", default="none", ttl_s=10)
        events, fields = state.list("l", ttl_s=10), state.map("m", ttl_s=10)
        counts.add("a", 5)
        last["a"] = "here"
        events.append("a", 1)
        fields.put("a", "x", 1)
        node.wait(6)
        counts.add("b")
        events.append("a", 2)
        fields.put("a", "y", 2)
        assert (counts["a"], last["a"], events.get("a"), len(list(fields.items("a")))) == (5, "here", [1, 2], 2)
        node.wait(6)

        for _ in range(2):
            assert (counts["a"], counts["b"]) == (0, 1)
            assert "a" not in counts
            assert last["a"] == "none"
            assert list(last.items()) == []
            assert (events.get("a"), events.len("a")) == ([2], 1)
            assert list(fields.items("a")) == [("y", 2)]
            assert fields.get("a", "x", "none") == "none"
            node.restarted()
            state = node.state
            counts, last = state.counter("c", ttl_s=10), state.value("v", default="none", ttl_s=10)
            events, fields = state.list("l", ttl_s=10), state.map("m", ttl_s=10)

    def test_each_write_lets_an_entry_live_anew(self, node: Node) -> None:
        counts, last = node.state.counter("c", ttl_s=10), node.state.value("v", ttl_s=10)
        for n in range(5):
            assert counts.add("a") == n + 1
            last["a"] = n
            node.wait(6)
            node.checkpoint()

        assert (counts["a"], last["a"]) == (5, 4)
        node.wait(6)
        assert counts.add("a") == 1
        assert last["a"] is None

    def test_a_list_goes_on_behind_elements_that_have_expired(self, node: Node) -> None:
        events = node.state.list("l", ttl_s=10)
        for n in range(30):
            events.append("a", n)
            if n % 7 == 0:
                node.checkpoint()
            node.wait(1)
            if n == 20:
                events = node.restarted().list("l", ttl_s=10)

        assert events.get("a") == list(range(21, 30))
        node.wait(20)
        assert events.get("a") == []
        node.checkpoint()
        assert list(node.store.scan("l")) == []
        events.extend("a", "xy")
        assert node.restarted().list("l", ttl_s=10).get("a") == ["x", "y"]

    def test_later_checkpoints_delete_what_has_expired(self, node: Node) -> None:
        counts = node.state.counter("c", ttl_s=10)
        counts.add("a")
        node.checkpoint()
        node.wait(11)
        assert node.checkpoint() == 0

        assert list(node.store.scan("c")) == []

    def test_an_entry_that_had_no_end_gets_one_with_its_next_write_and_the_other_way_round(self, node: Node) -> None:
        node.state.counter("endless").add("a")
        node.state.counter("ending", ttl_s=10).add("a")
        state = node.restarted()
        endless, ending = state.counter("endless", ttl_s=10), state.counter("ending")
        assert endless.add("a") == ending.add("a") == 2
        node.wait(11)

        assert (endless["a"], ending["a"]) == (0, 2)


class TestUndo:
    def test_a_call_that_raises_is_taken_back_whole(self, node: Node) -> None:
        state = node.state
        counts, last, events, fields = state.counter("c"), state.value("v"), state.list("l"), state.map("m")

        def write(sign: str) -> None:
            counts.add("a")
            counts.add(f"only {sign}")
            last["a"] = sign
            del last["gone"]
            events.append("a", sign)
            events.clear("cleared")
            events.append("cleared", sign)
            fields.put("a", "x", sign)
            fields.clear("cleared")
            fields.put("cleared", "new", sign)

        def seen() -> list[object]:
            return [
                list(counts.items()),
                list(last.items()),
                *(events.get(key) for key in ("a", "cleared")),
                *(list(fields.items(key)) for key in ("a", "cleared")),
            ]

        last["gone"] = "here"
        events.extend("cleared", [1, 2])
        fields.put("cleared", "old", 1)
        for committed in (False, True):
            if committed:
                node.checkpoint()
            before = seen()
            state.undo.last = None
            write(f"failed {committed}")
            assert seen() != before

            state.undo.roll_back()

            assert seen() == before
        write("good")
        after = seen()
        node.restarted()
        state = node.state
        counts, last, events, fields = state.counter("c"), state.value("v"), state.list("l"), state.map("m")
        assert seen() == after

    def test_what_was_never_read_is_not_changed_by_a_write_that_is_taken_back(self, node: Node) -> None:
        node.state.value("v")["a"] = "kept"
        node.state.map("m").put("a", "x", "kept")
        state = node.restarted()
        last, fields = state.value("v"), state.map("m")

        state.undo.last = None
        last["a"] = "failed"
        fields.put("a", "x", "failed")
        last["b"] = "failed"
        fields.put("b", "x", "failed")
        state.undo.roll_back()

        assert node.checkpoint() == 0
        assert (last["a"], fields.get("a", "x")) == ("kept", "kept")
        assert (last["b"], fields.get("b", "x")) == (None, None)

    @pytest.mark.parametrize("checkpointed", [False, True])
    def test_a_count_is_taken_back_whatever_else_the_call_has_done_to_it(self, node: Node, checkpointed: bool) -> None:
        state = node.state
        counts, others = state.counter("counts"), state.counter("others")
        for key in ("a", "b", "c", 7):
            counts.add(key, 5)
        others.add("a", 5)
        if checkpointed:
            node.checkpoint()
            counts.add("b")
            counts.add("b", -1)
        state.undo.last = None

        counts.add("a")
        counts.add("a", 10)
        others.add("a")
        assert dict(counts.items()) == {"a": 16, "b": 5, "c": 5, 7: 5}
        counts.add("a", 100)
        counts.add("b", 0.5)
        counts.add("b")
        del counts["c"]
        counts.add("c", 2)
        counts.add("c", 2)
        counts.add(7.0, 1 << 40)
        counts.add("new")
        counts.add("new")
        assert dict(counts.items()) == {"a": 116, "b": 6.5, "c": 4, 7: 5 + (1 << 40), "new": 2}
        state.undo.roll_back()

        assert dict(counts.items()) == {"a": 5, "b": 5, "c": 5, 7: 5}
        assert others["a"] == 5
        counts.add("a")
        assert dict(node.restarted().counter("counts").items()) == {"a": 6, "b": 5, "c": 5, 7: 5}

    @pytest.mark.parametrize("writes", [1, 2, 3])
    def test_a_call_is_taken_back_however_often_it_has_written(self, node: Node, writes: int) -> None:
        counts, last = node.state.counter("counts"), node.state.value("last")
        counts.add("a", 5)
        last["a"] = "kept"
        for state, write in ((counts, lambda: counts.add("a")), (last, lambda: last.set("a", "failed"))):
            before = state["a"]
            node.state.undo.last = None
            for _ in range(writes):
                write()
            assert state["a"] != before

            node.state.undo.roll_back()
            assert state["a"] == before
            node.state.undo.roll_back()
            assert state["a"] == before, "it is taken back once"

        node.restarted()
        assert (node.state.counter("counts")["a"], node.state.value("last")["a"]) == (5, "kept")

    def test_calls_before_the_one_that_raised_stay(self, node: Node) -> None:
        counts = node.state.counter("counts")
        counts.add("a")
        node.state.undo.last = None
        counts.add("a", 100)
        counts.add("b", 100)
        node.state.undo.roll_back()
        counts.add("a")

        assert list(node.restarted().counter("counts").items()) == [("a", 2)]


class TestCheckpoints:
    def test_only_what_has_changed_is_written(self, node: Node) -> None:
        counts, last = node.state.counter("counts"), node.state.value("last")
        for n in range(10):
            counts.add(n)
            last[n] = "x"
        assert node.checkpoint() == 20
        assert node.checkpoint() == 0

        counts.add(3)
        counts.add(3)
        assert counts[4] == 1
        del last[5]

        assert node.state.take_dirty() == {
            at(3, name="counts"): entry(3),
            at(5, name="last"): None,
        }

    def test_what_was_not_committed_is_gone_in_the_next_life(self, node: Node) -> None:
        node.state.counter("counts").add("a")
        node.checkpoint()
        node.state.counter("counts").add("a")
        node.state.counter("counts").add("b")

        assert list(node.begin().counter("counts").items()) == [("a", 1)]

    def test_a_checkpoint_that_failed_is_made_up_for_by_the_next(self, node: Node) -> None:
        state = node.state
        counts, events, fields = state.counter("counts"), state.list("l"), state.map("m")
        for key in ("a", "b", ("t", 1)):
            counts.add(key)
        events.append("a", 1)
        fields.put("a", "x", 1)
        fields.put("a", "y", 1)
        failed = state.take_dirty()
        counts.add("a")
        events.append("a", 2)
        fields.remove("a", "x")

        state.put_back(failed)

        assert node.checkpoint() == 7
        state = node.begin()
        assert dict(state.counter("counts").items()) == {"a": 2, "b": 1, ("t", 1): 1}
        assert state.list("l").get("a") == [1, 2]
        assert list(state.map("m").items("a")) == [("y", 1)]

    def test_a_state_that_nobody_has_yet_is_not_looked_for(self, node: Node) -> None:
        counts = node.state.counter("counts")
        node.store.commit(Checkpoint({at("a"): entry(7)}))

        assert counts["a"] == 0, "the store is not asked"
        node.state.clear_cache()
        assert counts["a"] == 7


class TestMemory:
    def test_what_is_forgotten_is_read_again_and_what_is_dirty_stays(self, node: Node) -> None:
        state = node.state
        counts, last, events, fields = state.counter("c"), state.value("v"), state.list("l"), state.map("m")
        for key in ("clean", "dirty"):
            counts.add(key)
            last[key] = {"n": 1}
            events.append(key, 1)
            fields.put(key, "x", 1)
        node.checkpoint()
        counts.add("dirty")
        last["dirty"] = {"n": 2}
        events.append("dirty", 2)
        fields.put("dirty", "y", 2)
        del last["clean"]

        state.clear_cache()

        for _ in range(2):
            assert dict(counts.items()) == {"clean": 1, "dirty": 2}
            assert dict(last.items()) == {"dirty": {"n": 2}}
            assert (events.get("clean"), events.get("dirty")) == ([1], [1, 2])
            assert (dict(fields.items("clean")), dict(fields.items("dirty"))) == ({"x": 1}, {"x": 1, "y": 2})
            state = node.restarted()
            counts, last, events, fields = state.counter("c"), state.value("v"), state.list("l"), state.map("m")

    def test_more_than_the_limit_is_not_kept_in_memory(self, node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("streamer.state.keyed.STATE_CACHE_BYTES", 100_000)
        last = node.state.value("last")
        largest = 0
        for n in range(1_000):
            last[n] = "x" * 500
            if n % 10 == 9:
                node.checkpoint()
                largest = max(largest, last.cache_bytes())

        assert largest < 150_000
        assert all(last[n] == "x" * 500 for n in range(0, 1_000, 50))
        assert len(list(last.items())) == 1_000


class TestGroups:
    def test_each_key_group_has_entries_of_its_own(self, node: Node) -> None:
        def written() -> dict[int, tuple[object, ...]]:
            state = node.state
            counts, last, events, fields = state.counter("c"), state.value("v"), state.list("l"), state.map("m")
            found: dict[int, tuple[object, ...]] = {}
            for group in (0, 7, 255, 8):
                state.group = group
                found[group] = (
                    list(counts.items()),
                    last["a"],
                    events.get("a"),
                    list(fields.items("a")),
                )
            return found

        for group in (7, 255, 7):
            node.state.group = group
            node.state.counter("c").add("a", group)
            node.state.value("v")["a"] = group
            node.state.list("l").append("a", group)
            node.state.map("m").put("a", group, group)
        expected: dict[int, tuple[object, ...]] = {
            7: ([("a", 14)], 7, [7, 7], [(7, 7)]),
            255: ([("a", 255)], 255, [255], [(255, 255)]),
        } | dict.fromkeys((0, 8), ([], None, [], []))

        assert written() == expected
        node.restarted()
        assert written() == expected

    def test_writes_of_several_groups_are_taken_back_and_put_back_alike(self, node: Node) -> None:
        counts, state = node.state.counter("c"), node.state
        for group in (1, 2):
            state.group = group
            counts.add("a")
        state.undo.last = None
        for group in (1, 2):
            state.group = group
            counts.add("a", 100)
        state.undo.roll_back()
        state.put_back(state.take_dirty())

        node.checkpoint()

        assert dict(node.store.scan("c")) == {
            at("a", name="c", group=1): entry(1),
            at("a", name="c", group=2): entry(1),
        }
