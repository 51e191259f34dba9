"""`streamer submit`, and `resume`: a job for a cluster, which goes on wherever its agents are.

The job is one record in the log, so it is there whole or not at all, and whoever leads jobs finds it, now or later. The
command returns when every node has an instance at work, and says what the job waits for meanwhile: a cluster without a
machine, or without a controller, takes a job and does nothing with it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from streamer.cli.cluster_jobs import ClusterJobs, Hearing
from streamer.cli.detach import is_at_work
from streamer.cli.exits import BAD_INPUT, FAILED, OK
from streamer.cli.jobs import LOOK_S, home_folder
from streamer.cli.output import json_line, say, tell
from streamer.cluster_limits import (
    AGENT_BEAT_S,
)
from streamer.control.cluster.code import code_entries
from streamer.control.cluster.wire import Member, submit_entry
from streamer.control.hosts.home import new_job
from streamer.control.hosts.resume import lost_input
from streamer.control.jobs import JobStatus
from streamer.control.kept_code import ReadCode, read_code
from streamer.control.preflight import code_preflight
from streamer.control.wishes import want_resumption
from streamer.errors import ResumeError
from streamer.log.base import ControlLog
from streamer.plan.compile import Plan

_PATIENCE_S = 3 * AGENT_BEAT_S
_MISSING = {
    Member.CONTROLLER: "no controller is there (start one: streamer controller --kafka HOST:PORT)",
    Member.AGENT: "no agent is there (start one on each machine: streamer agent --kafka HOST:PORT)",
}


def submit(plan: Plan, bootstrap: str, *, duration_s: float | None, as_json: bool) -> int:
    """The exit code. Raises OptionError, CodeError, StateError or LogError."""
    if readers := lost_input(plan):
        tell(
            f"node {', '.join(readers)}: reads stdin, which a job of a cluster does not have.\n"
            "  Let the node read a file, a socket or a topic."
        )
        return BAD_INPUT
    with ClusterJobs.opened(bootstrap, home_folder()) as jobs:
        hearing = Hearing(jobs.log)
        return _begun(jobs, hearing, put(jobs.log, plan, duration_s=duration_s), as_json=as_json)


def resumed(name: str, bootstrap: str, *, as_json: bool) -> int:
    """The exit code: a job that has failed goes on with its code as it is now, on the machines that have what it keeps.

    Raises ResumeError, CodeError, NoSuchJobError, OptionError, StateError or LogError.
    """
    with ClusterJobs.opened(bootstrap, home_folder()) as jobs:
        hearing = Hearing(jobs.log)
        kept = jobs.find(name)
        if kept.line.status != JobStatus.FAILED:
            raise ResumeError(f"job {kept.job} is {kept.line.status}")
        code = _mended(kept.plan)
        if code is None:
            return BAD_INPUT
        jobs.keep(kept.line, code)
        wish = want_resumption(jobs.log, kept.job, code.codes)
        return _begun(jobs, hearing, kept.job, as_json=as_json, wish=wish)


def _mended(plan: Plan) -> ReadCode | None:
    """The code of a job as it is now, if it lies here; of the other nodes it stays what it was.

    None if some of it cannot be loaded, which is told.
    """
    here = {name: node for name, node in plan.nodes.items() if node.code is not None and Path(node.code.path).is_file()}
    checked = code_preflight(replace(plan, nodes=here))
    for problem in checked.findings:
        tell(problem)
    return None if checked.findings else read_code(checked.plan)


def _begun(jobs: ClusterJobs, hearing: Hearing, job: str, *, as_json: bool, wish: int = -1) -> int:
    """Say what the job waits for until the `wish` was heard and it is at work, or has ended; the exit code."""
    told = ""
    kept = jobs.look(job)
    while kept is None or kept.line.wish < wish or (kept.line.live and not is_at_work(kept)):
        missing = [text for kind, text in _MISSING.items() if not hearing.is_there(kind)]
        waits = " and ".join(missing) if hearing.for_s() >= _PATIENCE_S else ""
        if waits and waits != told:
            tell(f"job {job} waits: {waits}")
        told = waits
        kept = jobs.look(job, LOOK_S)
    if kept.line.status == JobStatus.FAILED:
        tell(kept.line.error or f"job {job} has failed")
        return FAILED
    tell(f"job {job} of pipeline {kept.plan.pipeline}")
    for line in kept.instances:
        tell(f"  {line.instance}  on {line.agent}")
    say(json_line({"job": job}) if as_json else job)
    return OK


def put(log: ControlLog, plan: Plan, *, duration_s: float | None, run_by: str = "") -> str:
    """The job is to begin, with its code as it is now; its id. Raises CodeError or LogError."""
    code = read_code(plan)
    facts = replace(new_job(plan, home_folder(), detached=not run_by), duration_s=duration_s, run_by=run_by)
    log.append_all(code_entries(facts.job, code))
    log.append_all([submit_entry(facts, code.plan)])
    return facts.job
