"""`streamer flows show`: the flows in force, where each version comes from, and who goes by which of them.

The log says all of it: a job's plan has its versions, and each instance acknowledges in its reports which one its roots
take and which is the newest that it knows. So this works also while nobody supervises the job, as of the last word.
"""

from __future__ import annotations

from datetime import UTC, datetime

from streamer.cli.exits import OK
from streamer.cli.jobs import opened_jobs
from streamer.cli.output import json_line, say, table
from streamer.control.records import KeptJob
from streamer.limits import CANARY_PARTS
from streamer.plan.change import percent_text
from streamer.plan.versions import FlowTexts, Made


def show(name: str, *, as_json: bool) -> int:
    with opened_jobs() as jobs:
        kept = jobs.find(name)
    if as_json:
        say(json_line(_document(kept)))
    else:
        _print(kept)
    return OK


def _document(kept: KeptJob) -> dict[str, object]:
    plan = kept.plan
    canary = plan.canary and {
        "version": plan.canary.version,
        "percent": 100 * plan.canary.parts / CANARY_PARTS,
        "default": plan.newest.default,
        "flows": dict(plan.newest.flows),
    }
    return {
        "job": kept.job,
        "pipeline": plan.pipeline,
        "version": plan.current.number,
        "default": plan.current.default,
        "flows": dict(plan.current.flows),
        "alive": [version.number for version in plan.versions],
        "canary": canary,
        "versions": [
            {
                "version": texts.number,
                "state": _state(kept, texts),
                "since": _since(kept, texts),
                "origin": str(texts.origin.made),
                "to": texts.origin.to or None,
                "default": texts.default,
                "flows": dict(texts.flows),
            }
            for texts in _known(kept)
        ],
        "instances": {
            one.instance: {"version": one.version or None, "knows": one.knows or None}
            for one in kept.instances
            if not one.phase.gone
        },
    }


def _print(kept: KeptJob) -> None:
    plan, version = kept.plan, kept.plan.current
    older = [one.number for one in plan.versions if one.number < version.number]
    beside = f"  (alive too: {', '.join(map(str, older))})" if older else ""
    say(f"job      {kept.job}\npipeline {plan.pipeline}\nversion  {version.number}{beside}")
    say(f"default  {version.default}\n")
    say(table(("flow", "text"), [{"flow": name, "text": text} for name, text in version.flows.items()]))
    if plan.canary is not None:
        newest = plan.newest
        share = percent_text(plan.canary.parts)
        say(f"\ncanary   {newest.number}  ({share} of the new roots)\ndefault  {newest.default}\n")
        say(table(("flow", "text"), [{"flow": name, "text": text} for name, text in newest.flows.items()]))
    say("")
    say(table(("version", "state", "since", "origin"), [_version_row(kept, texts) for texts in _known(kept)]))
    rows = [
        {"instance": one.instance, "version": one.version or "-", "knows": one.knows or "-"}
        for one in kept.instances
        if not one.phase.gone
    ]
    if rows:
        say("")
        say(table(("instance", "version", "knows"), rows))


def _known(kept: KeptJob) -> tuple[FlowTexts, ...]:
    proposal = kept.line.proposal
    return kept.plan.known if proposal is None else (*kept.plan.known, proposal.version.texts)


def _version_row(kept: KeptJob, texts: FlowTexts) -> dict[str, object]:
    origin = f"{texts.origin.made} to {texts.origin.to}" if texts.origin.made is Made.ROLLBACK else texts.origin.made
    return {
        "version": texts.number,
        "state": _state(kept, texts),
        "since": _since(kept, texts),
        "origin": str(origin),
    }


def _state(kept: KeptJob, texts: FlowTexts) -> str:
    plan, proposal = kept.plan, kept.line.proposal
    if proposal is not None and texts.number == proposal.version.number:
        return "proposed"
    if texts.number == plan.current.number:
        return "in force"
    if plan.canary is not None and texts.number == plan.canary.version:
        return "canary"
    return "alive" if any(version.number == texts.number for version in plan.versions) else "over"


def _since(kept: KeptJob, texts: FlowTexts) -> str:
    """When it was asked for, as UTC."""
    at = kept.line.facts.started_at if texts.origin.at is None else texts.origin.at
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
