"""The port of the control log: append, read from a position, follow, claim.

Controllers come and go, and one that was paused comes back without knowing that it was replaced; so the log is the
truth, and all else is a cache of it. The port promises what every log can keep, and no more:

* A key is `SCOPE` or `SCOPE/PART`; the scope of a job's records is the job. Records of one scope in one topic are read
  in the order in which they were appended. Between scopes, and between topics, there is no order.
* Offsets grow along a partition of a topic, with gaps. A scope lies in one partition of each topic.
* An append that has returned is durable as its topic promises. One that raised LogError may have happened: make a
  record that is appended again harmless, for example by an id that is derived from its event.
* A claim makes its holder the only writer of a scope in the claimed topics, until the next claim. A record under an
  older claim that comes after a newer one is never read; a log that can tell so at once (SQLite) raises ClaimError,
  another (Kafka) cannot, so a holder follows its own topics too, and stops when it reads a claim that is not its own.

Values are bytes, and the log looks into none. Their writers use JSON in UTF-8: control records are few, people look at
them with the tools of a database or a broker, and every language reads them. A record without a value is a tombstone:
it deletes its key. One thread uses a log object; open another for another thread, and none across a fork.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from streamer.errors import ClaimError, LogError
from streamer.limits import (
    CONTROL_LOG_APPEND_RECORDS_MAX,
    CONTROL_LOG_KEY_CHARS_MAX,
    CONTROL_LOG_READ_RECORDS_MAX,
    CONTROL_LOG_VALUE_BYTES_MAX,
    KIB,
)
from streamer.log.topics import POLICIES, Topic

_CLAIM_PART = "@claim"
"""The part of a key under which claims stand; parts that begin with @ belong to the log."""


def scope_of(key: str) -> str:
    return key.partition("/")[0]


def claim_key(scope: str) -> str:
    return f"{scope}/{_CLAIM_PART}"


@dataclass(frozen=True, slots=True)
class Entry:
    """What is appended. A `value` of None deletes the key."""

    topic: Topic
    key: str
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Record:
    """What is read. `epoch` is that of the claim under which it was written; None in topics that are not claimed.

    `written_at` is the writer's time of day: clocks of writers differ, so it is shown to people and never compared.
    """

    topic: Topic
    partition: int
    offset: int
    key: str
    value: bytes | None
    epoch: int | None
    written_at: float

    @property
    def scope(self) -> str:
        return scope_of(self.key)

    @property
    def is_claim(self) -> bool:
        """Whether it says who writes from here on; its value is then the holder's name."""
        return self.key.endswith(_CLAIM_PART) and self.key == claim_key(self.scope)


@dataclass(frozen=True, slots=True)
class Claim:
    """`holder` tells people who it is; only the epoch counts, and the highest epoch is in force."""

    scope: str
    epoch: int
    holder: str


@dataclass(frozen=True, slots=True)
class Position:
    """How far someone has read: the last offset read, by `TOPIC/PARTITION`. What is absent was not begun.

    Its `offsets` are JSON as they are, so that a state can carry the position up to which it was made.
    """

    offsets: Mapping[str, int] = field(default_factory=dict)

    def offset(self, topic: Topic, partition: int) -> int:
        return self.offsets.get(f"{topic}/{partition}", -1)

    def after(self, record: Record) -> Position:
        return self.at(record.topic, record.partition, record.offset)

    def at(self, topic: Topic, partition: int, offset: int) -> Position:
        return Position({**self.offsets, f"{topic}/{partition}": offset})


BEGINNING = Position()


@dataclass(frozen=True, slots=True)
class Batch:
    """Records, and the position behind them. A batch without records: this was the end."""

    records: tuple[Record, ...]
    position: Position


class Follower(Protocol):
    """Reads on as the log grows, also by appends of other processes and machines."""

    @property
    def position(self) -> Position:
        """Behind all that `poll` has given."""

    def poll(self, timeout_s: float) -> tuple[Record, ...]:
        """What is there, at most a batch of each topic; waits for at most `timeout_s` if there is nothing."""

    def close(self) -> None: ...


class ControlLog(Protocol):
    """Every method may raise LogError (not now) and StateError (not with this log)."""

    def append(self, topic: Topic, key: str, value: bytes | None, *, claim: Claim | None = None) -> int:
        """Append one record and give its offset.

        Claimed topics need the `claim`; ClaimError if it is known to be lost. In other topics it leaves no trace.
        """

    def append_all(self, entries: Sequence[Entry], *, claim: Claim | None = None) -> tuple[int, ...]:
        """Append in this order. After an error the first of them may be there."""

    def claim(self, scope: str, holder: str) -> Claim:
        """Become the only writer of `scope`, whoever was it before."""

    def claimed(self, scope: str) -> Claim | None:
        """The claim in force."""

    def read(
        self,
        topic: Topic,
        after: Position = BEGINNING,
        *,
        scope: str | None = None,
        limit: int = CONTROL_LOG_READ_RECORDS_MAX,
    ) -> Batch:
        """At most `limit` records (and about 16 MiB) behind a position, of one scope or of all."""

    def follow(self, topics: Sequence[Topic], after: Position = BEGINNING, *, scope: str | None = None) -> Follower:
        """Read on from a position; the log must stay open."""

    def end(self, topics: Sequence[Topic]) -> Position:
        """The position behind all that is there now."""

    def compact(self) -> int:
        """Remove what the topics' policies do not keep, and give the number removed; 0 where the log does it by itself.

        Offsets stay, and are never given again.
        """

    def close(self) -> None: ...


def newest(log: ControlLog, topic: Topic, *, scope: str | None = None) -> dict[str, Record]:
    """The newest record of each key that was not deleted, claims left out: the state that a topic holds now."""
    table: dict[str, Record] = {}
    for record in everything(log, topic, scope=scope):
        if record.value is None:
            table.pop(record.key, None)
        elif not record.is_claim:
            table[record.key] = record
    return table


def everything(log: ControlLog, topic: Topic, *, scope: str | None = None) -> Iterator[Record]:
    """All records that a topic holds now, in the order of their partitions."""
    batch = log.read(topic, scope=scope)
    while batch.records:
        yield from batch.records
        batch = log.read(topic, batch.position, scope=scope)


def check_entries(entries: Sequence[Entry], claim: Claim | None) -> None:
    """What every log refuses, before it writes anything. Raises LogError or ClaimError."""
    if len(entries) > CONTROL_LOG_APPEND_RECORDS_MAX:
        raise LogError(
            f"{len(entries)} records in one append to the control log: at most {CONTROL_LOG_APPEND_RECORDS_MAX}",
            remedy="Append them in several parts.",
        )
    for entry in entries:
        check_key(entry.key)
        if entry.value is not None and len(entry.value) > CONTROL_LOG_VALUE_BYTES_MAX:
            raise LogError(
                f"a record of {len(entry.value)} bytes for {entry.key} in {entry.topic} of the control log: "
                f"at most {CONTROL_LOG_VALUE_BYTES_MAX // KIB} KiB",
                remedy="Make it smaller: large values are put into files, and a record names the file.",
            )
        if POLICIES[entry.topic].claimed and claim is None:
            raise ClaimError(f"{entry.topic} of {scope_of(entry.key)} are written under a claim, and none was given")
        if claim is not None and claim.scope != scope_of(entry.key):
            raise ClaimError(f"a claim of {claim.scope} does not reach {entry.key}")


def check_key(key: str) -> None:
    scope, slash, part = key.partition("/")
    if not scope or bool(slash) != bool(part) or part.startswith("@") or not key.isprintable():
        raise LogError(
            f"{key!r} is no key of the control log",
            remedy="Write it as SCOPE or SCOPE/PART, of printable characters; parts that begin with @ are taken.",
        )
    if len(key) > CONTROL_LOG_KEY_CHARS_MAX:
        raise LogError(
            f"a key of {len(key)} characters for the control log: at most {CONTROL_LOG_KEY_CHARS_MAX}",
            remedy="Give it a shorter name.",
        )


def check_scope(scope: str) -> None:
    if "/" in scope:
        raise LogError(f"{scope!r} is no scope of the control log", remedy="A scope is the part of a key before its /.")
    check_key(scope)
