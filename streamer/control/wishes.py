"""What people want of a job, on its way through the control log to whoever supervises it.

A command does not know where that process is, or whether there is one just now; so it appends its wish, and the wish is
found when its time comes. Wishes are numbered by their offsets, so that one which is read again, after the supervising
process was replaced, changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from streamer.control.events import Ask, Asked, Decided, FlowsSet, ReplayWanted, Resumed, Scaled, UpdateWanted, Wanted
from streamer.errors import StateError
from streamer.limits import CANARY_PARTS
from streamer.log.base import ControlLog, Record
from streamer.log.topics import Topic
from streamer.plan.assignment import Code
from streamer.plan.change import FlowsChange, FlowsRollback
from streamer.plan.compile import Plan
from streamer.plan.plain import plain, typed


def want_end(log: ControlLog, job: str, ask: Ask) -> int:
    """The wish's number."""
    return log.append(Topic.COMMANDS, job, json.dumps({"wish": str(ask)}).encode())


def want_replicas(log: ControlLog, job: str, node: str, replicas: int | None) -> int:
    """The wish's number."""
    return log.append(Topic.COMMANDS, job, json.dumps({"wish": "scale", "node": node, "replicas": replicas}).encode())


def want_decided(log: ControlLog, job: str, node: str, replicas: int) -> int:
    """What an autoscaler wants; the wish's number."""
    return log.append(Topic.COMMANDS, job, json.dumps({"wish": "decided", "node": node, "replicas": replicas}).encode())


def want_flows(log: ControlLog, job: str, change: FlowsChange | FlowsRollback) -> int:
    """The wish's number."""
    if isinstance(change, FlowsRollback):
        raw: dict[str, object] = {"wish": "rollback", "to": change.to}
    else:
        raw = {"wish": "flows", "flows": dict(change.flows), "default": change.default, "parts": change.parts}
    return log.append(Topic.COMMANDS, job, json.dumps(raw).encode())


def want_update(log: ControlLog, job: str, plan: Plan) -> int:
    """The wish's number. The plan is in it whole: whoever finds the wish need not be where its descriptor lies."""
    return log.append(Topic.COMMANDS, job, json.dumps({"wish": "update", "plan": plain(plan)}).encode())


def want_replay(log: ControlLog, job: str, node: str) -> None:
    """Have the instances of this node look for dead letters that are wanted again."""
    log.append(Topic.COMMANDS, job, json.dumps({"wish": "replay", "node": node}).encode())


def want_resumption(log: ControlLog, job: str, codes: Mapping[str, Code] | None = None) -> int:
    """The wish's number: whatever was wanted before it is over. `codes` are what nodes run from then on."""
    return log.append(Topic.COMMANDS, job, json.dumps({"wish": "resume", "code": plain(codes or {})}).encode())


def wishes(records: Sequence[Record]) -> Sequence[Wanted]:
    """Raises StateError for a record that no version up to this one writes."""
    return [_wish(record) for record in records]


def _wish(record: Record) -> Wanted:
    try:
        raw = json.loads(record.value or b"")
        if raw["wish"] == "scale":
            replicas = raw["replicas"]
            return Scaled(_text(raw["node"]), None if replicas is None else int(replicas), record.offset)
        if raw["wish"] == "decided":
            return Decided(_text(raw["node"]), int(raw["replicas"]), record.offset)
        if raw["wish"] == "flows":
            flows = {_text(name): None if flow is None else _text(flow) for name, flow in raw["flows"].items()}
            change = FlowsChange(flows, _text(raw["default"]), int(raw.get("parts", CANARY_PARTS)))
            return FlowsSet(change, record.offset, record.written_at)
        if raw["wish"] == "rollback":
            to = raw["to"]
            return FlowsSet(FlowsRollback(None if to is None else int(to)), record.offset, record.written_at)
        if raw["wish"] == "update":
            return UpdateWanted(typed(Plan, raw["plan"]), record.offset)
        if raw["wish"] == "replay":
            return ReplayWanted(_text(raw["node"]), record.offset)
        if raw["wish"] == "resume":
            return Resumed(record.offset, {node: typed(Code, one) for node, one in raw["code"].items()})
        return Asked(Ask(raw["wish"]), record.offset)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateError(f"the command {record.offset} for {record.key} cannot be read: {error}") from error


def _text(raw: object) -> str:
    if not isinstance(raw, str):
        raise TypeError(f"{raw!r} is no text")
    return raw
