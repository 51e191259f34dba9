"""`streamer stop` and `streamer scale`: what people want of a job that goes on.

A wish goes into the control log, and the command waits until the log says that it has come true: what it reports has
happened. Whoever supervises the job may die meanwhile; then the command finds another one for it and waits on.
"""

from __future__ import annotations

import dataclasses
import sys
import time

from streamer import clock
from streamer.cli.exits import FAILED, OK
from streamer.cli.jobs import LOOK_S, Jobs, lacking, nearest, opened_jobs
from streamer.cli.output import account_table, json_line, say, tell, terminal_width
from streamer.control.events import Ask
from streamer.control.jobs import JobStatus
from streamer.control.lifecycle import InstancePhase
from streamer.control.records import KeptJob
from streamer.control.scaling import check
from streamer.control.state import Partition
from streamer.control.wishes import want_end, want_replicas
from streamer.errors import NoSuchJobError, OptionError, ScaleError
from streamer.limits import DRAIN_S, START_GRACE_S

_SCALE_S = DRAIN_S + START_GRACE_S


def stop(name: str, *, now: bool, as_json: bool) -> int:
    with opened_jobs() as jobs:
        kept = jobs.find(name)
        if kept.line.live:
            want_end(jobs.log, kept.line.facts.job, Ask.KILL if now else Ask.DRAIN)
        while kept.line.live:
            kept = _later(jobs, kept)
        account = jobs.account(kept)
    if kept.line.error:
        tell(kept.line.error)
    if account is not None:
        say(account.to_json() if as_json else account_table(dataclasses.asdict(account), terminal_width(sys.stdout)))
    return FAILED if kept.line.status == JobStatus.FAILED or (kept.line.killed and not now) else OK


def scale(name: str, node: str, replicas: str, *, as_json: bool) -> int:
    """`replicas` is a number, or auto."""
    wanted = _wanted(replicas)
    with opened_jobs() as jobs:
        kept = jobs.find(name)
        _check(kept, node, wanted)
        number = want_replicas(jobs.log, kept.line.facts.job, node, wanted)
        deadline = clock.now() + _SCALE_S
        while kept.line.live and not _is_scaled(kept, node, number) and clock.now() < deadline:
            kept = _later(jobs, kept)
    count = kept.line.replicas.get(node, 0)
    if not kept.line.live or not _is_scaled(kept, node, number):
        waiting = kept.waiting(node)
        has = f"node {node} has {count - len(waiting)} replicas{lacking(waiting)}"
        tell(f"{has}: job {kept.line.facts.job} is {kept.line.status}")
        return FAILED
    pinned = kept.line.pins.get(node) is not None
    if as_json:
        say(json_line({"job": kept.line.facts.job, "node": node, "replicas": count, "pinned": pinned}))
    else:
        say(f"node {node} has {count} replicas{', pinned' if pinned else ''}")
    return OK


def _later(jobs: Jobs, kept: KeptJob) -> KeptJob:
    """The job after a moment."""
    time.sleep(LOOK_S)
    return jobs.later(kept)


def _wanted(replicas: str) -> int | None:
    if replicas == "auto":
        return None
    if not replicas.isascii() or not replicas.isdigit():
        raise OptionError(
            f"{replicas!r} is no number of replicas", remedy="Write a number, or auto to release the node."
        )
    return int(replicas)


def _check(kept: KeptJob, node: str, wanted: int | None) -> None:
    planned = kept.plan.nodes.get(node)
    if planned is None:
        raise NoSuchJobError(
            f"pipeline {kept.line.facts.pipeline} has no node {node}{nearest(node, list(kept.plan.nodes))}",
            remedy=f"Its nodes are {', '.join(kept.plan.nodes)}.",
        )
    if kept.line.status not in (JobStatus.STARTING, JobStatus.RUNNING):
        raise ScaleError(
            f"job {kept.line.facts.job} is {kept.line.status} and cannot be scaled",
            remedy="Only a job that is going on can be scaled: `streamer ps` lists them.",
        )
    check(planned, planned.replicas if wanted is None else wanted)


def _is_scaled(kept: KeptJob, node: str, number: int) -> bool:
    """The wish was heard, all who stay are at work, all who go have gone, and keys have their owners."""
    wanted = kept.desired(node)
    there = [line for line in kept.instances if line.node == node and line.phase is not InstancePhase.RETIRED]
    begun = all(line.phase is not InstancePhase.STARTING for line in there)
    partition = kept.line.partitions.get(node)
    owned = partition is None or partition == Partition(partition.epoch, wanted)
    staying = len(there) == wanted and not any(line.leaving for line in there)
    return kept.line.wish >= number and begun and staying and owned
