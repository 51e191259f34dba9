"""Keyed state at work: what a handler writes belongs to its call, and what calls have written to the next checkpoint.

The first use of `api.state` begins it, so that a node that keeps nothing pays nothing; a node whose state is on disk
has it from the beginning of each life. A call that raises has written nothing: its turn takes that back together with
what it has sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from streamer.clock import Clock
from streamer.errors import FencedError, StateError
from streamer.plan.assignment import Durability
from streamer.runtime.instance import Instance
from streamer.state.base import Checkpoint, Kept, StateHome, StateStore
from streamer.state.keyed import KeyedState


class StateVault:
    """The checkpoints of an instance, with what its state has become."""

    whole_marks = False

    def __init__(self, store: StateStore, state: KeyedState, *, partitioned: bool) -> None:
        self._store = store
        self._state = state
        self._partitioned = partitioned

    def restore(self) -> Kept:
        return self._store.restore(all_marks=self._partitioned)

    def own(self, epoch: int, replicas: int) -> Sequence[bytes]:
        self._store.own(epoch, replicas)
        self._state.clear_cache()
        return self._store.restore(all_marks=True).marks

    def commit(self, checkpoint: Checkpoint) -> None:
        entries = self._state.take_dirty()
        try:
            self._store.commit(replace(checkpoint, entries=entries))
        except (StateError, FencedError):
            self._state.put_back(entries)
            raise

    def close(self) -> None:
        self._store.close()


def begin_state(instance: Instance, home: StateHome, wall: Clock) -> KeyedState:
    """The state of the instance's node, and checkpoints from now on. Raises StateError, FencedError."""
    a = instance.assignment
    if a.durability is Durability.LOG:
        raise StateError(
            f"node {a.node} keeps api.state and has durability: log",
            remedy="Remove durability: log from the node: what it sends is kept with its checkpoints.",
        )
    with instance.lock:
        store = home.open()
        state = KeyedState(store, wall)
        checkpoints = instance.keep(StateVault(store, state, partitioned=bool(a.partition_by)))
        instance.handover.hand_to(checkpoints)
        return state
