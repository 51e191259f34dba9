"""A state store in memory, for tests and simulations: what survives a kill stands in a disk that lives share.

A simulated instance is killed by being forgotten, so nothing may be written but by a commit, and nothing may need to be
closed: a new life opens the same `MemoryStateDisk` while the old one may still believe that it goes on, and the old one
is fenced exactly as on a real disk. Entries are looked for one by one where many are scanned.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from streamer import clock
from streamer.limits import STATE_EXPIRED_DELETED_MAX
from streamer.state.base import (
    UNDIVIDED,
    VALUE,
    Checkpoint,
    Entry,
    EntryKey,
    Kept,
    Outgoing,
    Ownership,
    check_count,
    check_declaration,
    fenced_life,
    fenced_ownership,
)


@dataclass(slots=True)
class MemoryStateDisk:
    """The state of one node, by instance where it is not of all."""

    node: str
    entries: dict[EntryKey, Entry] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    marks: list[tuple[str, bytes]] = field(default_factory=list)
    outgoing: dict[str, dict[int, bytes]] = field(default_factory=dict)
    facts: dict[str, dict[str, bytes]] = field(default_factory=dict)
    ownership: Ownership = UNDIVIDED


class MemoryStateStore:
    """The state on `disk` as this life of `instance` has it. Raises FencedError if a later life was here."""

    def __init__(
        self,
        disk: MemoryStateDisk,
        instance: str,
        epoch: int,
        *,
        partition_epoch: int = 0,
        wall: clock.Clock = clock.wall,
    ) -> None:
        newest = disk.epochs.get(instance, epoch)
        if newest > epoch:
            raise fenced_life(instance, epoch, newest)
        disk.epochs[instance] = epoch
        self._disk = disk
        self._instance = instance
        self._epoch = epoch
        self._partition_epoch = partition_epoch
        self._wall = wall
        self._declared: dict[str, str] = {}
        if disk.ownership.partition_epoch < partition_epoch:
            self.own(partition_epoch, disk.ownership.replicas)

    def restore(self, *, all_marks: bool = False) -> Kept:
        disk = self._disk
        outgoing = sorted(disk.outgoing.get(self._instance, {}).items())
        return Kept(
            [marks for instance, marks in disk.marks if all_marks or instance == self._instance],
            [Outgoing(number, record) for number, record in outgoing],
            dict(disk.facts.get(self._instance, {})),
        )

    def get(self, key: EntryKey) -> Entry | None:
        entry = self._disk.entries.get(key)
        return None if entry is None or self._is_over(entry) else entry

    def _is_over(self, entry: Entry) -> bool:
        return 0 < entry.expires_s <= self._wall()

    def scan(self, name: str, group: int | None = None, key: bytes | None = None) -> Iterator[tuple[EntryKey, Entry]]:
        found = [
            (at, entry)
            for at, entry in self._disk.entries.items()
            if at.name == name and group in (None, at.group) and key in (None, at.key) and not self._is_over(entry)
        ]
        return iter(sorted(found))

    def names(self) -> Mapping[str, str]:
        return dict(self._disk.kinds)

    def declare(self, name: str, kind: str) -> None:
        check_declaration(self._disk.node, name, kind, {**self._declared, **self._disk.kinds})
        self._declared[name] = kind

    def commit(self, checkpoint: Checkpoint) -> None:
        self._confirm()
        check_count(self._disk.node, len({*self._disk.kinds, *(key.name for key in checkpoint.entries)}))
        disk = self._disk
        expired = sorted((entry.expires_s, key) for key, entry in disk.entries.items() if self._is_over(entry))
        for _, key in expired[:STATE_EXPIRED_DELETED_MAX]:
            del disk.entries[key]
        for key, entry in checkpoint.entries.items():
            disk.kinds.setdefault(key.name, self._declared.get(key.name, VALUE))
            if entry is None:
                disk.entries.pop(key, None)
            else:
                disk.entries[key] = entry
        self._write_past(checkpoint)

    def _confirm(self) -> None:
        """Raises FencedError."""
        newest = self._disk.epochs[self._instance]
        if newest != self._epoch:
            raise fenced_life(self._instance, self._epoch, newest)
        if self._disk.ownership.partition_epoch > self._partition_epoch:
            raise fenced_ownership(self._instance, self._partition_epoch, self._disk.ownership.partition_epoch)

    def _write_past(self, checkpoint: Checkpoint) -> None:
        """All that is the instance's own."""
        disk, instance = self._disk, self._instance
        if checkpoint.marks_whole:
            disk.marks = [(other, marks) for other, marks in disk.marks if other != instance]
        if checkpoint.marks:
            disk.marks.append((instance, checkpoint.marks))
        outgoing = disk.outgoing.setdefault(instance, {})
        outgoing.update((sent.number, sent.record) for sent in checkpoint.outgoing)
        for number in checkpoint.settled:
            outgoing.pop(number, None)
        disk.facts.setdefault(instance, {}).update(checkpoint.facts)

    def own(self, partition_epoch: int, replicas: int) -> None:
        newest = self._disk.ownership.partition_epoch
        if newest > partition_epoch:
            raise fenced_ownership(self._instance, partition_epoch, newest)
        if self._disk.epochs[self._instance] != self._epoch:
            raise fenced_life(self._instance, self._epoch, self._disk.epochs[self._instance])
        self._disk.ownership = Ownership(partition_epoch, replicas)
        self._partition_epoch = partition_epoch

    def ownership(self) -> Ownership:
        return self._disk.ownership

    def close(self) -> None:
        """The disk stays with whoever holds it."""
