"""The topics of the control log, and what a log must keep of each.

A topic is a promise to its readers: either the newest record of every key stays for ever (whoever comes later learns
the present state), or every record stays for a time (whoever was away catches up on what happened). It is also a
promise about loss: what a person was told is done must survive the machine, while a report is out of date within a
second, and an fsync for each would keep a disk busy for nothing.
All of this stands in one table, because each log, whatever it is made of, has to keep the same promises.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from streamer.limits import CONTROL_LOG_KEPT_S, CONTROL_LOG_REPORTS_KEPT_S


class Topic(StrEnum):
    """Who writes it, and by which key."""

    DESCRIPTORS = "descriptors"
    """Stored pipelines and algorithms, by name: whoever stores them."""
    COMMANDS = "commands"
    """What people and triggers want of a job, by job."""
    JOBS = "jobs"
    """What a job's controller knows of it, by job. A claim's offset here is its epoch."""
    REPORTS = "reports"
    """What instances and platforms say of themselves, by job."""
    ASSIGNMENTS = "assignments"
    """What an instance is to do, by job and instance: the job's controller."""
    CODE = "code"
    """The files of which a job's algorithms consist, by job and digest: whoever gives them to it."""
    DECISIONS = "decisions"
    """Replicas that an autoscaler wants, by job, with their reasons."""


@dataclass(frozen=True, slots=True)
class Policy:
    """`kept_s`: None keeps the newest record of each key, else every record for this long.

    `durable`: an append that has returned survives the machine's loss of power; otherwise only the death of processes.
    `claimed`: only the controller that holds the newest claim of a job writes here.
    """

    kept_s: float | None = None
    durable: bool = True
    claimed: bool = False


POLICIES: Mapping[Topic, Policy] = {
    Topic.DESCRIPTORS: Policy(),
    Topic.COMMANDS: Policy(kept_s=CONTROL_LOG_KEPT_S),
    Topic.JOBS: Policy(claimed=True),
    Topic.REPORTS: Policy(kept_s=CONTROL_LOG_REPORTS_KEPT_S, durable=False),
    Topic.ASSIGNMENTS: Policy(claimed=True),
    Topic.CODE: Policy(),
    Topic.DECISIONS: Policy(kept_s=CONTROL_LOG_KEPT_S),
}
CLAIMED = tuple(topic for topic, policy in POLICIES.items() if policy.claimed)
CLAIMS = Topic.JOBS
"""Where a claim takes its epoch. It stands first among the claimed, so that the epoch is known for the others."""

assert set(POLICIES) == set(Topic), "every topic says what is kept of it"
assert CLAIMED[0] is CLAIMS, "a claim has its epoch before it is repeated elsewhere"
