"""Decisions as records of the control log: every change, every change of mind, and the figures from time to time.

A pass looks at each node every few seconds, and mostly nothing follows. A record for each would bury those that matter,
and force a disk for nothing; so what is the same as before is written once a minute, with its newest figures, and what
only wavers (a recommendation between two numbers) no more often than a reader could follow. The log keeps them for a
week, and no more than so many: see `streamer.log.topics`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from autoscaler.decision import Action, Decision, ScalingPlan
from streamer.errors import StateError
from streamer.log.base import ControlLog, Entry, Record, everything
from streamer.log.topics import Topic

_FIGURES_S = 60.0
"""A node of which nothing new is decided has its figures written down this often."""
_CALM_S = 10.0
"""Whatever changes about a decision, other than replicas, is written down at most this often."""


@dataclass(frozen=True, slots=True)
class NodeJournal:
    """What was decided of one node: `last` is the newest record, `changes` those that changed its replicas.

    What others have changed (a person, or the controller for the first message at zero) is among them, as it was seen.
    """

    last: Decision
    changes: tuple[Decision, ...]


@dataclass(frozen=True, slots=True)
class JobJournal:
    """`alarms` are those of the last pass that changed them."""

    nodes: Mapping[str, NodeJournal]
    alarms: tuple[str, ...] = ()


class Journal:
    """Knows what was written, and what of a new plan is worth a record."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], Decision] = {}
        self._alarms: dict[str, tuple[str, ...]] = {}

    def news(self, plan: ScalingPlan) -> list[Entry]:
        entries = []
        for decision in plan.decisions:
            key = decision.job, decision.node
            if _is_news(self._last.get(key), decision):
                self._last[key] = decision
                entries.append(_entry("/".join(key), decision.to_document()))
        for job in dict.fromkeys(decision.job for decision in plan.decisions):
            if self._alarms.get(job, ()) != plan.alarms:
                self._alarms[job] = plan.alarms
                entries.append(_entry(job, {"at": plan.at, "alarms": plan.alarms}))
        return entries

    def forget(self, entries: list[Entry]) -> None:
        """These could not be written: they will be news again."""
        for entry in entries:
            job, _, node = entry.key.partition("/")
            self._last.pop((job, node), None)
            self._alarms.pop(job, None)


def _is_news(before: Decision | None, now: Decision) -> bool:
    if before is None or now.action is not Action.HOLD or (now.had, now.wanted) != (before.had, before.wanted):
        return True
    age_s = now.at - before.at
    if _gist(now) != _gist(before):
        return not 0 <= age_s < _CALM_S
    return not 0 <= age_s < _FIGURES_S and now.inputs != before.inputs


def _gist(decision: Decision) -> tuple[object, ...]:
    return decision.recommended, decision.guard, decision.short


def _entry(key: str, document: Mapping[str, object]) -> Entry:
    return Entry(Topic.DECISIONS, key, json.dumps(document, ensure_ascii=False).encode())


def journal_of(log: ControlLog, job: str) -> JobJournal:
    """What was decided of a job. Raises StateError for a record that cannot be read."""
    return journal_from(everything(log, Topic.DECISIONS, scope=job))


def journal_from(records: Iterable[Record]) -> JobJournal:
    """The same of the records themselves, the oldest first."""
    last: dict[str, Decision] = {}
    changes: dict[str, list[Decision]] = {}
    alarms: tuple[str, ...] = ()
    for record in records:
        node = record.key.partition("/")[2]
        if not node:
            alarms = _alarms(record)
            continue
        before, last[node] = last.get(node), _decision(record)
        if last[node].action is not Action.HOLD:
            changes.setdefault(node, []).append(last[node])
        elif before is not None and before.wanted != last[node].wanted:
            changes.setdefault(node, []).append(replace(last[node], had=before.wanted))
    return JobJournal({node: NodeJournal(last[node], tuple(changes.get(node, ()))) for node in last}, alarms)


def _decision(record: Record) -> Decision:
    try:
        return Decision.from_document(_document(record))
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(record, error) from error


def _alarms(record: Record) -> tuple[str, ...]:
    try:
        return tuple(map(str, _document(record)["alarms"]))
    except (KeyError, TypeError) as error:
        raise _unreadable(record, error) from error


def _document(record: Record) -> dict[str, Any]:
    try:
        raw = json.loads(record.value or b"")
    except ValueError as error:
        raise _unreadable(record, error) from error
    if not isinstance(raw, dict):
        raise _unreadable(record, TypeError("it is no object"))
    return raw


def _unreadable(record: Record, error: Exception) -> StateError:
    return StateError(
        f"the decision {record.offset} for {record.key} in the control log cannot be read: {error!r}",
        remedy="Another version of streamer wrote it: read it with that one, or wait until the log forgets it.",
    )
