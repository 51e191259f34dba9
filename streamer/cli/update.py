"""`streamer update`: a job that goes on becomes another version of its pipeline, instance by instance.

All that can be found wrong is found before anything is asked for: in the descriptors, in the algorithms, which are
imported once as before a start, and in what stands between the job and the new version. Then the command waits for what
the controller makes of it, and tells how far it is. It can be left at any time: the update does not need it.
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from streamer import clock
from streamer.cli.exits import BAD_INPUT, FAILED, OK
from streamer.cli.jobs import LOOK_S, JobNews, Jobs, lacking, opened_jobs
from streamer.cli.output import json_line, say, tell
from streamer.cli.plans import compiled
from streamer.control.kept_code import ReadCode, read_code
from streamer.control.preflight import code_preflight
from streamer.control.records import JobLine
from streamer.control.state import Updated
from streamer.control.update import begun
from streamer.control.wishes import want_update
from streamer.errors import LogError, UpdateError
from streamer.limits import DRAIN_S
from streamer.plan.compile import Plan

_NEVER_S = float("inf")
_PLACED_S = 3.0


@dataclass(frozen=True, slots=True)
class UpdateOptions:
    """What the user asked for, as of `run`. `timeout_s`: wait no longer than this; the update goes on without."""

    files: tuple[Path, ...]
    settings: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    timeout_s: float | None = None
    as_json: bool = False


def update(name: str, options: UpdateOptions) -> int:
    """The exit code. Raises StreamerError for what cannot be used as it was given."""
    with opened_jobs() as jobs:
        line = jobs.find(name).line
        code = _prepared(line, options)
        if code is None:
            return BAD_INPUT
        news, job = jobs.news(line.facts.job), line.facts.job
        news.until(lambda now: now.phase is not None, clock.now() + DRAIN_S)
        if _is_there(jobs, job, code.plan):
            tell(f"job {job} is like this already")
            return _concluded(news.line, "unchanged", "", options)
        jobs.keep(line, code)
        number = want_update(jobs.log, job, code.plan)
        result = _awaited(news, number, options)
        with suppress(LogError):  # it is done, whatever there is to add
            if result == OK and (without := _without_room(jobs, job)):
                tell(f"job {job} goes on{without}")
        return result


def _prepared(line: JobLine, options: UpdateOptions) -> ReadCode | None:
    """The plan with its code as it is now; None if there were findings, which are told.

    Relative paths of connectors begin where those of the job do.
    """
    facts = line.facts
    plan = compiled(options.files, options.settings, options.inputs, folder=Path(facts.directory))
    if plan is None:
        return None
    checked = code_preflight(plan)
    for problem in checked.findings:
        tell(problem)
    return None if checked.findings else read_code(checked.plan)


def _is_there(jobs: Jobs, job: str, plan: Plan) -> bool:
    """Whether there is nothing to do. Raises UpdateError that lists all that cannot be done."""
    state = jobs.again(job).state(0.0, 0)
    if state is None:
        raise UpdateError(
            f"job {job} has not begun",
            remedy="See what it waits for: `streamer status JOB`, and on a cluster what its controllers say.",
        )
    return begun(state, plan, 0, 0.0) is None


def _awaited(news: JobNews, number: int, options: UpdateOptions) -> int:
    """Tell how far it is, until something has become of it."""
    shown = ""

    def is_decided_or_further(line: JobLine) -> bool:
        return _outcome(line, number) is not None or _progress(line) != shown

    deadline = clock.now() + (_NEVER_S if options.timeout_s is None else options.timeout_s)
    while True:
        line = news.until(is_decided_or_further, deadline)
        outcome = _outcome(line, number)
        if outcome is not None or not line.live or clock.now() >= deadline:
            break
        if shown := _progress(line):
            tell(shown)
    if outcome is None:
        why = f"it is under way still: {shown or 'it waits'}" if line.live else f"job {line.facts.job} is {line.status}"
        tell(why)
        return _concluded(line, "under way" if line.live else "ended", why, options)
    if outcome.refused:
        tell(outcome.error)
        return BAD_INPUT
    if outcome.error:
        tell(f"rolled back: {outcome.error}")
        return _concluded(line, "rolled back", outcome.error, options)
    tell(f"job {line.facts.job} is updated")
    return _concluded(line, "updated", "", options)


def _without_room(jobs: Jobs, job: str) -> str:
    """Of a cluster: which instances were given no machine, though they had a moment for it."""
    deadline = clock.now() + _PLACED_S
    while True:
        kept = jobs.again(job)
        waiting = kept.waiting()
        if not any(one.agent for one in kept.instances):
            return ""
        counts = Counter(one.node for one in kept.instances if not one.phase.gone)
        is_whole = all(counts[node] >= kept.desired(node) for node in kept.plan.nodes)
        if (is_whole and not waiting) or not kept.line.live or clock.now() >= deadline:
            return lacking(waiting)
        time.sleep(LOOK_S)


def _outcome(line: JobLine, number: int) -> Updated | None:
    return next((one for one in line.updates if one.number == number), None)


def _progress(line: JobLine) -> str:
    return "" if line.update is None else line.update.progress


def _concluded(line: JobLine, result: str, error: str, options: UpdateOptions) -> int:
    if options.as_json:
        document = {"job": line.facts.job, "result": result, "generation": line.generation, "error": error}
        say(json_line(document))
    return FAILED if error else OK
