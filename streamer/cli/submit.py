"""`streamer submit`: a job for a cluster, which goes on wherever its agents are.

The job is one record in the log, so it is there whole or not at all, and whoever leads jobs finds it, now or later. The
command returns when every node has an instance at work, and says what the job waits for meanwhile: a cluster without a
machine, or without a controller, takes a job and does nothing with it.
"""

from __future__ import annotations

import time
from dataclasses import replace

from streamer import clock
from streamer.cli.cluster_jobs import ClusterJobs
from streamer.cli.detach import is_at_work
from streamer.cli.exits import BAD_INPUT, FAILED, OK
from streamer.cli.jobs import LOOK_S, home_folder
from streamer.cli.output import json_line, say, tell
from streamer.control.book import find
from streamer.control.cluster.wire import AGENTS, CONTROLLERS, submit_entry
from streamer.control.hosts.home import new_job
from streamer.control.hosts.resume import lost_input
from streamer.control.jobs import JobStatus
from streamer.limits import AGENT_GONE_S
from streamer.log.base import ControlLog
from streamer.log.topics import Topic
from streamer.plan.compile import Plan


def submit(plan: Plan, bootstrap: str, *, duration_s: float | None, as_json: bool) -> int:
    """The exit code. Raises OptionError, StateError or LogError."""
    if readers := lost_input(plan):
        tell(
            f"node {', '.join(readers)}: reads stdin, which a job of a cluster does not have.\n"
            "  Let the node read a file, a socket or a topic."
        )
        return BAD_INPUT
    with ClusterJobs.opened(bootstrap, home_folder()) as jobs:
        job = put(jobs.log, plan, duration_s=duration_s)
        told = ""
        since = clock.now()
        while True:
            kept = find(jobs.log, job)
            if kept is not None and (not kept.line.live or is_at_work(kept)):
                break
            waits = _waits_for(jobs.log) if clock.now() - since > AGENT_GONE_S / 2 else ""
            if waits != told and waits:
                tell(f"job {job} waits: {waits}")
            told = waits
            time.sleep(LOOK_S)
    if kept.line.status == JobStatus.FAILED:
        tell(kept.line.error or f"job {job} has failed")
        return FAILED
    tell(f"job {job} of pipeline {plan.pipeline}")
    for line in kept.instances:
        tell(f"  {line.instance}  on {line.agent}")
    say(json_line({"job": job}) if as_json else job)
    return OK


def put(log: ControlLog, plan: Plan, *, duration_s: float | None) -> str:
    """The job is to begin; its id. Raises LogError."""
    facts = replace(new_job(plan, home_folder(), detached=True), duration_s=duration_s)
    log.append_all([submit_entry(facts, plan)])
    return facts.job


def are_there(log: ControlLog, scope: str) -> bool:
    """Whether an agent, or a controller, was heard of lately, as far as the clocks of this and its machine agree."""
    newest = 0.0
    batch = log.read(Topic.REPORTS, scope=scope)
    while batch.records:
        newest = max(newest, *(record.written_at for record in batch.records))
        batch = log.read(Topic.REPORTS, batch.position, scope=scope)
    return clock.wall() - newest < AGENT_GONE_S


def _waits_for(log: ControlLog) -> str:
    missing = []
    if not are_there(log, CONTROLLERS):
        missing.append("no controller is there (start one: streamer controller --kafka HOST:PORT)")
    if not are_there(log, AGENTS):
        missing.append("no agent is there (start one on each machine: streamer agent --kafka HOST:PORT)")
    return " and ".join(missing)
