"""What controllers and agents tell each other, as records of the control log.

Both say that they are there (`members/KIND/NAME`), and agents say of each job what its instances say (`JOB/NAME`), all
of it again and again: a report that is lost is made up for by the next one. A controller tells agents what to do by the
records of instances, from which they also learn what to start, and by words beside them: flows and peers stand once for
all instances of a node, since these are the same for all, and verbs by instance. The newest of each key is in force.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from streamer.control.events import Exited
from streamer.control.records import JobFacts
from streamer.descriptor.resources import NOTHING, Capacity, Needs
from streamer.errors import StateError
from streamer.log.base import Entry, Record
from streamer.log.topics import Topic
from streamer.metrics.samples import InstanceSample
from streamer.plan.assignment import Peers, Verb, Wiring
from streamer.plan.compile import Plan
from streamer.plan.plain import plain, typed
from streamer.protocol.account import EdgeCounts, InstanceAccount

MEMBERS = "members"
"""The scope of what agents and controllers say of themselves, beside those of jobs, which no job is named like."""

_FLOWS, _PEERS, _VERBS = "flows", "peers", "verbs"
_SUBMIT = "submit"


# -- agents -----------------------------------------------------------------------------------------------------------


class Member(StrEnum):
    """Who says that it is there."""

    AGENT = "agent"
    CONTROLLER = "controller"


@dataclass(frozen=True, slots=True)
class Beat:
    """An agent is there. `home` names its folder of jobs: two that share one share what instances keep.

    `address` is where its instances can be reached. `used` is what those that it runs have asked for. `of_run`: it is
    there for the job of a `run` alone.
    """

    agent: str
    address: str
    home: str
    capacity: Capacity = field(default_factory=Capacity)
    used: Needs = NOTHING
    of_run: bool = False


def beat_entry(beat: Beat) -> Entry:
    return Entry(Topic.REPORTS, f"{MEMBERS}/{Member.AGENT}/{beat.agent}", _encoded(plain(beat)))


def beat_of(record: Record) -> Beat:
    """Raises StateError."""
    return typed(Beat, _decoded(record))


def controller_entry(name: str) -> Entry:
    return Entry(Topic.REPORTS, f"{MEMBERS}/{Member.CONTROLLER}/{name}", b"{}")


def member_of(record: Record) -> tuple[str, str]:
    """What it is (`Member`, if it is any of these), and its name."""
    _, kind, name = (*record.key.split("/", 2), "", "")[:3]
    return kind, name


# -- reports of jobs --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Left:
    """A life that is over, and the account of its instance up to now."""

    exit: Exited
    account: InstanceAccount | None


@dataclass(frozen=True, slots=True)
class JobReport:
    """What an agent knows of a job: `lives` are the epochs of the instances that it runs now. `home`: see `Beat`."""

    agent: str
    samples: tuple[InstanceSample, ...] = ()
    left: tuple[Left, ...] = ()
    lives: Mapping[str, int] = field(default_factory=dict)
    home: str = ""


def report_entry(job: str, report: JobReport) -> Entry:
    raw = {
        "agent": report.agent,
        "samples": [sample.to_wire() for sample in report.samples],
        "left": [{"exit": plain(one.exit), "account": _account_raw(one.account)} for one in report.left],
        "lives": dict(report.lives),
        "home": report.home,
    }
    return Entry(Topic.REPORTS, f"{job}/{report.agent}", _encoded(raw))


def report_of(record: Record) -> JobReport:
    """Raises StateError."""
    raw = _decoded(record)
    try:
        return JobReport(
            raw["agent"],
            tuple(InstanceSample.from_wire(one) for one in raw["samples"]),
            tuple(Left(typed(Exited, one["exit"]), _account_of(one["account"])) for one in raw["left"]),
            {str(instance): int(epoch) for instance, epoch in raw["lives"].items()},
            str(raw["home"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unreadable(record, error) from error


def facts_of(sample: InstanceSample) -> tuple[object, ...]:
    """What changes a decision; the rest of a sample can wait for the next report."""
    return (
        sample.state,
        sample.endpoint,
        sample.address,
        sample.wiring,
        sample.oldest_version,
        sample.ownership,
        sample.quiet,
        sample.exhausted,
    )


_EDGE_FIELDS = ("target", "sent", "settled", "dead_lettered", "abandoned", "in_flight", "redelivered", "drops")


def _account_raw(account: InstanceAccount | None) -> dict[str, Any] | None:
    """Counts only: positions and history are the instance's own."""
    if account is None:
        return None
    edges = [{name: getattr(edge, name) for name in _EDGE_FIELDS} for edge in account.edges]
    return {"received": account.received, "failed": account.failed, "completed": account.completed, "edges": edges}


def _account_of(raw: dict[str, Any] | None) -> InstanceAccount | None:
    return None if raw is None else InstanceAccount(**{**raw, "edges": [EdgeCounts(**edge) for edge in raw["edges"]]})


# -- words to instances -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Told:
    """What one life of an instance has been told to do. `lives` belong to the verb `replay`."""

    epoch: int
    verbs: frozenset[Verb] = frozenset()
    lives: tuple[str, ...] = ()
    kill: bool = False


@dataclass(frozen=True, slots=True)
class Word:
    """One of the three for a node or, in case of `Told`, an instance."""

    about: str
    word: Wiring | Peers | Told


def flows_entry(job: str, node: str, wiring: Wiring) -> Entry:
    return Entry(Topic.ASSIGNMENTS, f"{job}/{_FLOWS}/{node}", _encoded(plain(wiring)))


def peers_entry(job: str, node: str, peers: Peers) -> Entry:
    return Entry(Topic.ASSIGNMENTS, f"{job}/{_PEERS}/{node}", _encoded(plain(peers)))


def told_entry(job: str, instance: str, told: Told) -> Entry:
    return Entry(Topic.ASSIGNMENTS, f"{job}/{_VERBS}/{instance}", _encoded(plain(told)))


def word_of(record: Record) -> Word | None:
    """None for a record that is no word. Raises StateError."""
    parts = record.key.split("/", 2)
    kinds: Mapping[str, type[Wiring] | type[Peers] | type[Told]] = {_FLOWS: Wiring, _PEERS: Peers, _VERBS: Told}
    if len(parts) < 3 or parts[1] not in kinds:
        return None
    return Word(parts[2], typed(kinds[parts[1]], _decoded(record)))


# -- a job that is to begin -------------------------------------------------------------------------------------------


def submit_entry(facts: JobFacts, plan: Plan) -> Entry:
    """One record, so that a job is there whole or not at all."""
    raw = {"wish": _SUBMIT, "facts": plain(facts), "plan": plain(plan)}
    return Entry(Topic.COMMANDS, facts.job, _encoded(raw))


def submitted(record: Record) -> tuple[JobFacts, Plan] | None:
    """The job that is to begin; None if the command is another one. Raises StateError."""
    raw = _decoded(record)
    if not isinstance(raw, Mapping) or raw.get("wish") != _SUBMIT:
        return None
    try:
        return typed(JobFacts, raw["facts"]), typed(Plan, raw["plan"])
    except KeyError as error:
        raise _unreadable(record, error) from error


def _encoded(raw: object) -> bytes:
    return json.dumps(raw, ensure_ascii=False, separators=(",", ":")).encode()


def _decoded(record: Record) -> Any:
    try:
        return json.loads(record.value or b"null")
    except ValueError as error:
        raise _unreadable(record, error) from error


def _unreadable(record: Record, error: Exception) -> StateError:
    return StateError(
        f"the record of {record.key} at {record.offset} in {record.topic} of the control log cannot be read: {error}",
        remedy="It is left out. See that every part of the cluster runs the same version, and who else writes there.",
    )
