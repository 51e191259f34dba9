"""Which records of a topic may go, by its policy.

A log that only grows ends as a full disk, and one that forgets too early leaves a late reader with a state that never
was. So the rule is a pure function over all that a store knows of its records but their values, the same for each log
that has to do it by itself; a broker has its own. It costs one pass over the topic, and a set of its keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streamer.limits import CONTROL_LOG_KEPT_RECORDS_MAX, CONTROL_LOG_TOMBSTONE_S
from streamer.log.base import claim_key, scope_of
from streamer.log.topics import Policy


@dataclass(frozen=True, slots=True)
class Stub:
    """A record without its value."""

    offset: int
    key: str
    deletes: bool
    written_at: float


def removable(stubs: Sequence[Stub], policy: Policy, now: float) -> list[int]:
    """Offsets that may go. `stubs` are all of a partition, by offset; `now` is the time of day."""
    if policy.kept_s is None:
        return _superseded(stubs, now - CONTROL_LOG_TOMBSTONE_S)
    surplus = max(0, len(stubs) - CONTROL_LOG_KEPT_RECORDS_MAX)
    return [stub.offset for at, stub in enumerate(stubs) if at < surplus or stub.written_at < now - policy.kept_s]


def _superseded(stubs: Sequence[Stub], old_before: float) -> list[int]:
    """All but the newest of each key; also old tombstones, and old claims of a scope that has nothing else left."""
    last = {stub.key: stub for stub in stubs}
    gone = {key for key, stub in last.items() if stub.deletes and stub.written_at < old_before}
    alive = {scope_of(key) for key in last if key not in gone and key != claim_key(scope_of(key))}
    gone |= {
        key
        for key, stub in last.items()
        if key == claim_key(scope_of(key)) and scope_of(key) not in alive and stub.written_at < old_before
    }
    return [stub.offset for stub in stubs if last[stub.key] is not stub or stub.key in gone]
