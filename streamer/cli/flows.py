"""`streamer flows set`, `promote` and `rollback`: other ways for the messages of a job, for all of them or for a share.

A change goes into the control log as any wish does, and the command waits for the answer: that roots take the version,
or why not. All that can be found wrong is found before, on the plan that the log has, and then nothing is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

from streamer import clock
from streamer.cli.exits import FAILED, OK
from streamer.cli.jobs import opened_jobs
from streamer.cli.output import json_line, say, table, tell
from streamer.control.flows import proposed
from streamer.control.records import JobLine, KeptJob
from streamer.control.state import Answer
from streamer.control.wishes import want_flows
from streamer.errors import OptionError
from streamer.limits import CANARY_PARTS, DRAIN_S, FLOWS_S
from streamer.plan.change import FlowsChange, FlowsRollback, percent_text, with_change
from streamer.plan.compile import Plan

_WAIT_S = FLOWS_S + DRAIN_S
"""The controller gives up first, and says who has not heard; beyond it there is nobody who answers."""
_PERCENT_PARTS = CANARY_PARTS // 100


def change_flows(
    name: str, settings: Sequence[str], default: str, *, percent: float | None = None, as_json: bool
) -> int:
    """`settings` are NAME=TEXT; an empty text removes the flow."""
    return _wanted(name, _change(settings, default, percent), as_json=as_json)


def promote(name: str, *, as_json: bool) -> int:
    """Let all new roots take the canary."""
    with opened_jobs() as jobs:
        kept = jobs.find(name)
    if kept.plan.canary is None and kept.line.proposal is None:
        tell(f"no version of the flows of job {kept.job} is a canary: version {kept.plan.current.number} is in force")
        return _told(kept.job, kept.plan, as_json=as_json)
    return _wanted(kept.job, FlowsChange({}), as_json=as_json)


def roll_back(name: str, to: int | None, *, as_json: bool) -> int:
    """To version `to`, or (None) to the one before that in force; from a canary to the one in force."""
    return _wanted(name, FlowsRollback(to), as_json=as_json)


def _wanted(name: str, change: FlowsChange | FlowsRollback, *, as_json: bool) -> int:
    with opened_jobs() as jobs:
        job = jobs.find(name).job
        news, deadline = jobs.news(job), clock.now() + _WAIT_S
        news.until(lambda line: line.proposal is None, deadline)
        kept = jobs.again(job)
        if _is_none(kept, change):
            tell(f"the flows of job {job} are like this already")
            return _told(job, kept.plan, as_json=as_json)
        number = want_flows(jobs.log, job, change)
        news.until(lambda line: _answer(line, number) is not None, deadline)
        kept = jobs.again(job)
    answer = _answer(kept.line, number)
    if answer is None or answer.error:
        tell(answer.error if answer else f"job {kept.job} is {kept.line.status}, and nobody has answered")
        return FAILED
    return _told(job, kept.plan, as_json=as_json)


def _is_none(kept: KeptJob, change: FlowsChange | FlowsRollback) -> bool:
    """Whether it would change nothing. Raises FlowsError if it cannot be made."""
    state = kept.state(0.0, 0)
    if state is None:  # it begins in a moment
        return with_change(kept.plan, change) is kept.plan
    return proposed(state, change) is None


def _answer(line: JobLine, number: int) -> Answer | None:
    return next((answer for answer in line.answers if answer.number == number), None)


def _told(job: str, plan: Plan, *, as_json: bool) -> int:
    """The version that is the newest: a canary, or in force."""
    version, canary = plan.newest, plan.canary
    if as_json:
        percent = 100.0 if canary is None else canary.parts / _PERCENT_PARTS
        flows = {"version": version.number, "default": version.default, "flows": dict(version.flows)}
        say(json_line({"job": job, **flows, "percent": percent}))
        return OK
    if canary is None:
        say(f"version {version.number} of the flows is in force, default {version.default}\n")
    else:
        share = f"{percent_text(canary.parts)} of the new roots take it, all others version {plan.current.number}"
        say(f"version {version.number} of the flows is a canary, default {version.default}: {share}\n")
    say(table(("flow", "text"), [{"flow": name, "text": text} for name, text in version.flows.items()]))
    return OK


def _change(settings: Sequence[str], default: str, percent: float | None) -> FlowsChange:
    """Raises OptionError."""
    flows: dict[str, str | None] = {}
    for setting in settings:
        name, separator, text = setting.partition("=")
        if not separator:
            raise OptionError(f"{setting!r} is no flow", remedy="Write NAME='A >> B', or NAME= to remove a flow.")
        if name.strip() in flows:
            raise OptionError(f"flow {name.strip()!r} is given twice", remedy="Give each flow once.")
        flows[name.strip()] = text.strip() or None
    if not flows and not default and percent is None:
        raise OptionError(
            "no flow is given to change", remedy="Write NAME='A >> B', NAME=, --default NAME or --percent N."
        )
    return FlowsChange(flows, default, CANARY_PARTS if percent is None else _parts(percent))


def _parts(percent: float) -> int:
    """Raises OptionError."""
    parts = round(percent * _PERCENT_PARTS)
    if not 0 <= percent <= 100 or abs(percent * _PERCENT_PARTS - parts) > 1e-6:
        raise OptionError(
            f"--percent {percent:g} is no share of the roots",
            remedy="Give 0 to 100, with at most two digits after the point.",
        )
    return parts
