"""`streamer explain`: why the nodes of a job have the replicas that they have, and what would change them.

It reads the journal of decisions in the control log, and asks nobody; so it answers for jobs that have ended, too. A
node of which nothing was decided is told as well, with the reason: most often nobody scales its job.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from autoscaler.decision import Decision
from autoscaler.explanation import explain as in_words
from autoscaler.journal import JobJournal, NodeJournal, journal_of
from autoscaler.thresholds import fewer_below, more_above
from streamer import clock
from streamer.cli.exits import OK
from streamer.cli.jobs import nearest, opened_jobs
from streamer.cli.output import json_line, say
from streamer.control.records import KeptJob
from streamer.errors import NoSuchJobError

_CHANGES_SHOWN = 6


def explain(name: str, node: str | None, *, as_json: bool) -> int:
    with opened_jobs() as jobs:
        kept = jobs.find(name)
        _check(kept, node)
        journal = journal_of(jobs.log, kept.job)
    nodes = [one for one in kept.plan.nodes if node in (None, one)]
    if as_json:
        say(json_line(_document(kept, journal, nodes)))
        return OK
    for alarm in journal.alarms:
        say(f"! {alarm}")
    for one in nodes:
        known = journal.nodes.get(one)
        lines = _lines(kept, one, known, clock.wall()) if known else [f"{one}: {_has(kept, one)}; {_silence(kept)}"]
        say("\n".join(lines))
    return OK


def _check(kept: KeptJob, node: str | None) -> None:
    if node is not None and node not in kept.plan.nodes:
        raise NoSuchJobError(
            f"pipeline {kept.line.facts.pipeline} has no node {node}{nearest(node, list(kept.plan.nodes))}",
            remedy=f"Its nodes are {', '.join(kept.plan.nodes)}.",
        )


def _lines(kept: KeptJob, node: str, known: NodeJournal, now: float) -> Iterator[str]:
    last, planned = known.last, kept.plan.nodes[node]
    yield in_words(last, now if kept.line.live else last.at, planned.max_replicas)
    if not kept.line.live:
        yield f"  as it was: the job is {kept.line.status}"
    if last.short:
        yield f"  wants {last.wanted + last.short}, has {kept.line.replicas.get(node, 0)}"
    elif kept.line.live and last.wanted != kept.line.replicas.get(node, 0):
        yield f"  it is on its way there, and has {kept.line.replicas.get(node, 0)}"
    if (below := fewer_below(last)) is not None and last.wanted > planned.min_replicas:
        yield f"  {last.wanted - 1} would take less than {below:.3g} messages/s, for as long as it is waited for that"
    yield f"  as of {_time(last.at)}; it may have {planned.min_replicas} to {planned.max_replicas or 'any number'}"
    if known.changes:
        yield "  its last changes:"
    for change in known.changes[: -_CHANGES_SHOWN - 1 : -1]:
        yield f"    {_time(change.at)}  {change.had} -> {change.wanted}  {'; '.join(change.reasons)}"


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _has(kept: KeptJob, node: str) -> str:
    replicas = kept.line.replicas.get(node, 0)
    return "1 replica" if replicas == 1 else f"{replicas} replicas"


def _silence(kept: KeptJob) -> str:
    """Why nothing is known."""
    if kept.line.facts.capacity is None:
        return "its job was started with --no-autoscale, and no autoscaler has looked at it"
    return "nothing was decided yet: the first look at a job is some seconds after its start"


def _document(kept: KeptJob, journal: JobJournal, nodes: list[str]) -> dict[str, object]:
    return {
        "job": kept.job,
        "pipeline": kept.line.facts.pipeline,
        "alarms": list(journal.alarms),
        "nodes": [_told(kept, node, journal.nodes.get(node)) for node in nodes],
    }


def _told(kept: KeptJob, node: str, known: NodeJournal | None) -> dict[str, object]:
    planned = kept.plan.nodes[node]
    facts: dict[str, object] = {
        "node": node,
        "replicas": kept.line.replicas.get(node, 0),
        "least": planned.min_replicas,
        "most": planned.max_replicas,
    }
    if known is None:
        return {**facts, "reasons": [_silence(kept)], "changes": []}
    return {
        **known.last.to_document(),
        **facts,
        "more_above": more_above(known.last),
        "fewer_below": fewer_below(known.last),
        "changes": [_change(change) for change in known.changes],
    }


def _change(decision: Decision) -> dict[str, object]:
    return {"at": decision.at, "had": decision.had, "wanted": decision.wanted, "reasons": list(decision.reasons)}
