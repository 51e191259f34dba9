"""`streamer flows show` and `streamer flows set`: which ways the messages of a job take, and other ways for it.

A change goes into the control log as any wish does, and the command waits for the answer: that the version is in force,
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
from streamer.limits import DRAIN_S, FLOWS_S
from streamer.plan.change import FlowsChange, changed
from streamer.plan.compile import FlowVersion

_WAIT_S = FLOWS_S + DRAIN_S
"""The controller gives up first, and says who has not heard; beyond it there is nobody who answers."""


def show(name: str, *, as_json: bool) -> int:
    with opened_jobs() as jobs:
        kept = jobs.find(name)
    version = kept.plan.current
    alive = [one.number for one in kept.plan.versions]
    if as_json:
        facts = {"job": kept.job, "pipeline": kept.plan.pipeline}
        say(json_line({**facts, **_document(version), "alive": alive}))
        return OK
    older = f"  (alive too: {', '.join(map(str, alive[:-1]))})" if len(alive) > 1 else ""
    say(f"job      {kept.job}\npipeline {kept.plan.pipeline}\nversion  {version.number}{older}")
    say(f"default  {version.table.default_flow}\n")
    say(_table(version))
    return OK


def change_flows(name: str, settings: Sequence[str], default: str, *, as_json: bool) -> int:
    """`settings` are NAME=TEXT; an empty text removes the flow."""
    change = _change(settings, default)
    with opened_jobs() as jobs:
        job = jobs.find(name).job
        news, deadline = jobs.news(job), clock.now() + _WAIT_S
        news.until(lambda line: line.proposal is None, deadline)
        kept = jobs.again(job)
        if _is_none(kept, change):
            tell(f"the flows of job {job} are like this already")
            return _told(kept, as_json=as_json)
        number = want_flows(jobs.log, job, change)
        news.until(lambda line: _answer(line, number) is not None, deadline)
        kept = jobs.again(job)
    answer = _answer(kept.line, number)
    if answer is None or answer.error:
        tell(answer.error if answer else f"job {kept.job} is {kept.line.status}, and nobody has answered")
        return FAILED
    return _told(kept, as_json=as_json)


def _is_none(kept: KeptJob, change: FlowsChange) -> bool:
    """Whether it would change nothing. Raises FlowsError if it cannot be made."""
    state = kept.state(0.0, 0)
    if state is None:  # it begins in a moment
        return changed(kept.plan, change) is None
    return proposed(state, change) is None


def _answer(line: JobLine, number: int) -> Answer | None:
    return next((answer for answer in line.answers if answer.number == number), None)


def _told(kept: KeptJob, *, as_json: bool) -> int:
    version = kept.plan.current
    if as_json:
        say(json_line({"job": kept.job, **_document(version)}))
    else:
        say(f"version {version.number} of the flows is in force, default {version.table.default_flow}\n")
        say(_table(version))
    return OK


def _document(version: FlowVersion) -> dict[str, object]:
    return {"version": version.number, "default": version.table.default_flow, "flows": dict(version.flows)}


def _table(version: FlowVersion) -> str:
    return table(("flow", "text"), [{"flow": name, "text": text} for name, text in version.flows.items()])


def _change(settings: Sequence[str], default: str) -> FlowsChange:
    """Raises OptionError."""
    flows: dict[str, str | None] = {}
    for setting in settings:
        name, separator, text = setting.partition("=")
        if not separator:
            raise OptionError(f"{setting!r} is no flow", remedy="Write NAME='A >> B', or NAME= to remove a flow.")
        if name.strip() in flows:
            raise OptionError(f"flow {name.strip()!r} is given twice", remedy="Give each flow once.")
        flows[name.strip()] = text.strip() or None
    if not flows and not default:
        raise OptionError("no flow is given to change", remedy="Write NAME='A >> B', NAME= or --default NAME.")
    return FlowsChange(flows, default)
