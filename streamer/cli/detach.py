"""`streamer run --detach`: begin a job that outlives the command, and say when it is at work.

The command writes the job into the control log and starts a process that takes it up from there, exactly as one would
that finds it after a crash: there is one way to begin and to go on, and it is used every time. The command returns when
every node has an instance at work, so that whoever reads the job's id can rely on it.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from streamer.cli.exits import BAD_INPUT, FAILED, OK
from streamer.cli.jobs import LOOK_S, Jobs, begin_supervising, home_folder, last_words, opened_jobs
from streamer.cli.output import json_line, say, tell
from streamer.control.hosts.home import LOGS_FOLDER, submit
from streamer.control.hosts.lock import is_supervised
from streamer.control.hosts.resume import lost_input
from streamer.control.jobs import JobStatus
from streamer.control.lifecycle import InstancePhase
from streamer.control.records import KeptJob
from streamer.metrics.endpoint import Endpoint
from streamer.plan.compile import Plan

_AT_WORK = frozenset(InstancePhase) - {
    InstancePhase.STARTING,
    InstancePhase.RESTARTING,
    InstancePhase.DEAD,
    InstancePhase.RETIRED,
}


def detach(plan: Plan, *, duration_s: float | None, metrics_port: int, as_json: bool, capacity: str | None) -> int:
    """Begin the job; the exit code."""
    if readers := lost_input(plan):
        tell(
            f"node {', '.join(readers)}: reads stdin, which a detached job does not have.\n"
            "  Run it without --detach, or let the node read a file."
        )
        return BAD_INPUT
    metrics = ""
    if metrics_port:
        with Endpoint(metrics_port) as endpoint:  # a port in use is said here, and not in a log
            metrics = endpoint.url
    with opened_jobs() as jobs:
        job = submit(plan, home_folder(), duration_s=duration_s, metrics=metrics, capacity=capacity).job
        return begun(jobs, job, as_json=as_json)


def begun(jobs: Jobs, job: str, *, as_json: bool) -> int:
    """Have a job supervised that stands in the log and waits for it, and say when it is at work; the exit code."""
    kept = jobs.again(job)
    kept = _at_work(jobs, kept, begin_supervising(kept.line))
    line = kept.line
    if line.status == JobStatus.FAILED or (line.live and not is_at_work(kept)):
        tell(line.error or f"job {job} does not start:\n{last_words(line)}")
        return FAILED
    tell(f"job {job} of pipeline {line.facts.pipeline}")
    tell(f"  metrics  {line.facts.metrics}\n  logs     {Path(line.facts.folder) / LOGS_FOLDER}")
    for node, url in line.addresses.items():
        tell(f"  gateway  {node}  {url}")
    say(json_line({"job": job}) if as_json else job)
    return OK


def _at_work(jobs: Jobs, kept: KeptJob, supervisor: subprocess.Popen[bytes]) -> KeptJob:
    """The job once every node has an instance at work, or once there is nothing to wait for any more."""
    while kept.line.live and not is_at_work(kept):
        if supervisor.poll() is not None and not is_supervised(Path(kept.line.facts.folder)):
            return jobs.again(kept.line.facts.job)
        time.sleep(LOOK_S)
        kept = jobs.again(kept.line.facts.job)
    return kept


def is_at_work(kept: KeptJob) -> bool:
    working = {line.node for line in kept.instances if line.phase in _AT_WORK}
    wanted = {node for node in kept.plan.nodes if kept.desired(node)}
    return kept.line.status != JobStatus.STOPPING and wanted <= working
