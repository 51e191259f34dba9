"""The port of the state store: keyed entries, and what a node must know of its past, in one transaction a checkpoint.

A node that counts exactly may not have its count on disk and the message that was counted still in the world, or the
other way round. So a checkpoint is one value: entries of keyed state, marks by which repeats are known, messages that
it sends and those that are settled by now, and small facts. A store takes all of it or nothing, and looks into none of
it. The port promises:

* A checkpoint that was committed survives a kill of its process at any time; a loss of power it may not survive, since
  that would cost a wait for the disk at each checkpoint.
* An instance has an epoch, which grows with its lives, and its node an ownership, whose epoch grows each time its keys
  are dealt anew. Both are checked in the transaction of a checkpoint: a life that was replaced gets FencedError, and
  nothing of what it brings is written.
* A commit that raised StateError (a full disk) has changed nothing; the same or another one may be tried afterwards.
* Entries belong to the node, and a group of them to one instance at a time; marks, outgoing messages and facts belong
  to the instance. What others have written is read for certain once the groups were dealt anew (`own`).
* An entry that has expired is read no more. It is deleted by commits that follow, some at a time.

A key is the msgpack of a value, so none is the beginning of another one: stores may rely on it. One thread at a time
uses a store.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple, Protocol

from streamer.errors import FencedError, StateError
from streamer.limits import STATE_NAMES_MAX

VALUE, COUNTER, LIST, MAP = KINDS = ("value", "counter", "list", "map")
"""What a keyed state can be."""


class EntryKey(NamedTuple):
    """Where one entry of a keyed state stands.

    `group` is the key group, 0 where the node is not partitioned; `name` that of the keyed state; `key` the msgpack of
    the user's key. `field` is empty in values and counters, the msgpack of a map's field, or the index of a list's
    element in 8 bytes, the highest first.
    """

    group: int
    name: str
    key: bytes
    field: bytes


class Entry(NamedTuple):
    """`value` is msgpack; `expires_s` a time of day in seconds, 0.0 for never."""

    value: bytes
    expires_s: float


class Outgoing(NamedTuple):
    """Messages that a checkpoint sends. `number` is the position of the first; `record` is the sender's business."""

    number: int
    record: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One transaction.

    An entry of None deletes. `marks` are appended to those that were kept, or take the place of all of the instance's
    where they are `marks_whole`. `settled` are numbers of outgoing messages that are needed no more, also where this
    checkpoint brings them. `facts` are overwritten one by one.
    """

    entries: Mapping[EntryKey, Entry | None] = field(default_factory=lambda: MappingProxyType({}))
    marks: bytes = b""
    marks_whole: bool = False
    outgoing: Sequence[Outgoing] = ()
    settled: Sequence[int] = ()
    facts: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Kept:
    """What a new life of an instance begins with: marks as they were appended, outgoing messages by their number."""

    marks: Sequence[bytes]
    outgoing: Sequence[Outgoing]
    facts: Mapping[str, bytes]


class Ownership(NamedTuple):
    """How the key groups of a node are dealt: to so many replicas, since this epoch."""

    partition_epoch: int
    replicas: int


UNDIVIDED = Ownership(0, 1)


class StateStore(Protocol):
    """The state of one node, as one of its instances has it. Every method may raise StateError.

    A life that begins under a newer ownership than the store knows owns its groups from then on, as by `own`.
    """

    def restore(self, *, all_marks: bool = False) -> Kept:
        """What the instance has left; with `all_marks` the marks of all instances of the node.

        A new owner of key groups needs the marks of the former ones.
        """

    def get(self, key: EntryKey) -> Entry | None: ...

    def scan(self, name: str, group: int | None = None, key: bytes | None = None) -> Iterator[tuple[EntryKey, Entry]]:
        """The entries of a keyed state, of one of its groups, or of one key in a group, by (group, key, field).

        Commits may come between two entries; what they change may be seen or not.
        """

    def names(self) -> Mapping[str, str]:
        """The keyed states that have ever had an entry, with their kinds."""

    def declare(self, name: str, kind: str) -> None:
        """Say what kind a keyed state is; it is kept with its first entry. A name without a word is one of values.

        Raises StateError if it is another kind, or one name too many.
        """

    def commit(self, checkpoint: Checkpoint) -> None:
        """All of it, or nothing. Raises FencedError if another life or another ownership has taken over."""

    def own(self, partition_epoch: int, replicas: int) -> None:
        """The groups are dealt like this from now on, and this instance goes on under it.

        What all have committed by then is read from here on, and whoever has not heard of it is fenced. Raises
        FencedError if they have been dealt anew since.
        """

    def ownership(self) -> Ownership:
        """The newest; UNDIVIDED where there never was another one."""

    def close(self) -> None: ...


def fenced_life(instance: str, epoch: int, newest: int) -> FencedError:
    return FencedError(f"instance {instance} of epoch {epoch} was replaced: epoch {newest} has taken its state over")


def fenced_ownership(instance: str, partition_epoch: int, newest: int) -> FencedError:
    return FencedError(
        f"instance {instance} knows ownership {partition_epoch} of the key groups, and they were dealt anew: {newest}"
    )


def check_declaration(node: str, name: str, kind: str, kinds: Mapping[str, str]) -> None:
    """Raises StateError if a keyed state is to be another kind than it was, or if there are too many of them."""
    known = kinds.get(name, kind)
    if kind != known:
        raise StateError(
            f"state {name!r} of node {node} is a {known}, and not a {kind}",
            remedy="Give the new state another name, or move the node's folder of state aside to begin without.",
        )
    check_count(node, len({*kinds, name}))


class StateHome(Protocol):
    """Where the state of a node is kept, if it keeps any."""

    @property
    def exists(self) -> bool:
        """Whether a former life, or another instance of the node, has kept something."""

    def open(self) -> StateStore:
        """Raises StateError, FencedError."""


def check_count(node: str, count: int) -> None:
    """Raises StateError if a node has too many keyed states."""
    if count > STATE_NAMES_MAX:
        raise StateError(
            f"node {node} has more than {STATE_NAMES_MAX} keyed states",
            remedy="Name a state for its purpose, and use what comes in messages as keys.",
        )
