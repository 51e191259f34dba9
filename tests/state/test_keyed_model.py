"""Whatever calls, failures, checkpoints and lives come after each other, keyed state is what a plain dict would be."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.state.base import Checkpoint
from streamer.state.keyed import KeyedState
from streamer.state.memory import MemoryStateDisk, MemoryStateStore
from streamer.testing.clock import VirtualClock

Model = dict[str, dict[tuple[int, Any], Any]]
"""By kind; the key is that of the group and of the state, values as users see them."""
Write = tuple[str, int, Any, Any, int]

KEYS = st.sampled_from(["a", ("t", 2)])
FIELDS = st.sampled_from(["x", 3])
WRITES = st.tuples(
    st.sampled_from(["add", "set", "del", "append", "extend", "clear list", "put", "remove", "clear map"]),
    st.sampled_from([0, 0, 0, 9]),
    KEYS,
    FIELDS,
    st.integers(-3, 3),
)
WHAT = ["call", "call", "call that raises", "checkpoint", "checkpoint that fails", "forget", "kill", "look"]
STEPS = st.tuples(st.sampled_from(WHAT), st.lists(WRITES, min_size=1, max_size=8))


class Sides:
    """The same done to keyed state and to the model of it."""

    def __init__(self) -> None:
        self.disk = MemoryStateDisk("n")
        self.epoch = 0
        self.model: Model = {kind: {} for kind in ("counter", "value", "list", "map")}
        self.committed = copy.deepcopy(self.model)
        self.begin()

    def begin(self) -> None:
        self.epoch += 1
        self.store = MemoryStateStore(self.disk, "n-0", self.epoch, wall=VirtualClock().wall)
        self.state = KeyedState(self.store, VirtualClock().wall)
        self.counter, self.value = self.state.counter("counter"), self.state.value("value", default="none")
        self.list, self.map = self.state.list("list"), self.state.map("map")
        self.model = copy.deepcopy(self.committed)

    def write(self, write: Write) -> None:
        what, group, key, field, n = write
        self.state.group = group
        at = (group, key)
        counters, values, lists, maps = (self.model[kind] for kind in ("counter", "value", "list", "map"))
        both: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
            "add": (lambda: self.counter.add(key, n), lambda: counters.update({at: counters.get(at, 0) + n})),
            "set": (lambda: self.value.set(key, [n]), lambda: values.update({at: [n]})),
            "del": (lambda: self.value.__delitem__(key), lambda: values.pop(at, None)),
            "append": (lambda: self.list.append(key, n), lambda: lists.setdefault(at, []).append(n)),
            "extend": (lambda: self.list.extend(key, [n, "x"]), lambda: lists.setdefault(at, []).extend([n, "x"])),
            "clear list": (lambda: self.list.clear(key), lambda: lists.pop(at, None)),
            "put": (lambda: self.map.put(key, field, n), lambda: maps.setdefault(at, {}).update({field: n})),
            "remove": (lambda: self.map.remove(key, field), lambda: maps.get(at, {}).pop(field, None)),
            "clear map": (lambda: self.map.clear(key), lambda: maps.pop(at, None)),
        }
        for side in both[what]:
            side()

    def look(self) -> None:
        for group in (0, 9):
            self.state.group = group
            assert dict(self.counter.items()) == self._of("counter", group)
            assert dict(self.value.items()) == self._of("value", group)
            for key in ("a", ("t", 2)):
                at = (group, key)
                assert self.list.get(key) == self.model["list"].get(at, [])
                assert dict(self.map.items(key)) == self.model["map"].get(at, {})
                assert self.value[key] == self.model["value"].get(at, "none")

    def _of(self, kind: str, group: int) -> dict[Any, Any]:
        return {key: value for (at, key), value in self.model[kind].items() if at == group}

    def step(self, what: str, writes: list[Write]) -> None:
        if what == "call":
            self.state.undo.last = None
            for write in writes:
                self.write(write)
        elif what == "call that raises":
            before = copy.deepcopy(self.model)
            self.state.undo.last = None
            for write in writes:
                self.write(write)
            self.state.undo.roll_back()
            self.model = before
        elif what == "checkpoint":
            self.store.commit(Checkpoint(self.state.take_dirty()))
            self.committed = copy.deepcopy(self.model)
        elif what == "checkpoint that fails":
            self.state.put_back(self.state.take_dirty())
        elif what == "forget":
            self.state.clear_cache()
        elif what == "kill":
            self.begin()
        else:
            self.look()


@given(st.lists(STEPS, min_size=4, max_size=25))
@settings(deadline=None, max_examples=100)
def test_keyed_state_is_what_a_dict_would_be(steps: list[tuple[str, list[Write]]]) -> None:
    sides = Sides()
    for what, writes in steps:
        sides.step(what, writes)
    sides.look()
    sides.step("checkpoint", [])
    sides.step("kill", [])
    sides.look()
