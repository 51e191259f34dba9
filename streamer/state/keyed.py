"""Keyed state as an algorithm uses it (`api.state`), and as the runtime makes checkpoints of it.

A handler call takes effect when it succeeds, and a checkpoint holds the effects of many calls. So writes stay in memory
until a checkpoint takes them (`take_dirty`), and each leaves behind what it has replaced, so that a call that raises is
taken back (`undo`) without a copy of anything. What was touched stays in memory, up to a limit; what was not is read
from the store when it is asked for, one entry at a time: a node with many keys begins at once.

Only the thread of the handler touches any of this, so nothing is locked. Calls that overlap (`async` handlers) share
one `undo`, and cannot be taken back apart from each other: the runtime has to keep them apart where state is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from streamer.errors import StateError
from streamer.limits import NAME_CHARS_MAX, STATE_CACHE_BYTES
from streamer.state.base import COUNTER, LIST, MAP, VALUE, Entry, EntryKey, StateStore
from streamer.state.kinds import Keyed, Shared
from streamer.state.lists import ListState
from streamer.state.maps import MapState
from streamer.state.singles import CounterState, ValueState

_State = TypeVar("_State", bound=Keyed)


class KeyedState:
    """The keyed states of one instance. `wall` gives the time of day, by which entries expire."""

    def __init__(self, store: StateStore, wall: Callable[[], float]) -> None:
        self._store = store
        self._shared = Shared(store, wall)
        self._states: dict[str, Keyed] = {}
        self._group = 0
        self.undo = self._shared.undo

    # -- for algorithms ------------------------------------------------------------------------------------------------
    def value(self, name: str, default: object = None, ttl_s: float | None = None) -> ValueState:
        """One value for each key. Raises StateError if `name` is another kind of state, or has other settings."""
        cell = self._shared.coder.cell(default)
        return self._named(name, VALUE, (cell, ttl_s), lambda: ValueState(self._shared, name, ttl_s, cell), ValueState)

    def counter(self, name: str, ttl_s: float | None = None) -> CounterState:
        """A number for each key, 0 at first. Raises StateError as `value` does."""
        return self._named(name, COUNTER, ttl_s, lambda: CounterState(self._shared, name, ttl_s), CounterState)

    def list(self, name: str, ttl_s: float | None = None) -> ListState:
        """A list for each key. Raises StateError as `value` does."""
        return self._named(name, LIST, ttl_s, lambda: ListState(self._shared, name, ttl_s), ListState)

    def map(self, name: str, ttl_s: float | None = None) -> MapState:
        """Fields and their values for each key. Raises StateError as `value` does."""
        return self._named(name, MAP, ttl_s, lambda: MapState(self._shared, name, ttl_s), MapState)

    def _named(self, name: str, kind: str, settings: object, make: Callable[[], _State], form: type[_State]) -> _State:
        state = self._states.get(name) if isinstance(name, str) else None
        if state is None:
            self._declare(name, kind)
            state = make()
            state.settings = settings
            state.enter(self._group)
            self._states[name] = state
        if not isinstance(state, form) or state.settings != settings:
            raise StateError(
                f"state {name!r} is a {state.kind} here, and was asked for as a {kind}, or with another ttl or default",
                remedy="Ask for one state in one way everywhere, or give the other one another name.",
            )
        return state

    def _declare(self, name: str, kind: str) -> None:
        if not isinstance(name, str) or not name or not name.isprintable() or len(name) > NAME_CHARS_MAX:
            raise StateError(
                f"{name!r} is no name for a state",
                remedy=f"Give it a name of 1 to {NAME_CHARS_MAX} printable characters.",
            )
        self._store.declare(name, kind)

    # -- for the runtime -----------------------------------------------------------------------------------------------
    @property
    def group(self) -> int:
        """The key group of the message in hand; entries of other groups are neither seen nor touched."""
        return self._group

    @group.setter
    def group(self, group: int) -> None:
        if group != self._group:
            self._group = group
            for state in self._states.values():
                state.enter(group)

    def take_dirty(self) -> dict[EntryKey, Entry | None]:
        """All that has changed since the last time, for a checkpoint. Called between two calls of the handler."""
        if self._shared.growth_bytes > STATE_CACHE_BYTES // 4:
            self._shared.growth_bytes = 0
            if sum(state.cache_bytes() for state in self._states.values()) > STATE_CACHE_BYTES:
                self.clear_cache()
        self.undo.last = None  # an algorithm may also write for minutes without a message
        found: dict[EntryKey, Entry | None] = {}
        for state in self._states.values():
            state.take_dirty(found)
        return found

    def put_back(self, dirty: Mapping[EntryKey, Entry | None]) -> None:
        """A checkpoint with these could not be committed: the next one has them too, as they are by then."""
        for key in dirty:
            self._states[key.name].put_back(key)

    def clear_cache(self) -> None:
        """Forget all that the store has as well; what is to be written by the next checkpoint stays.

        Not between `take_dirty` and the end of its commit: then the store has not what it was given.
        """
        for state in self._states.values():
            state.forget_clean()
