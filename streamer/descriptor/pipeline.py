"""A pipeline: its nodes, its flows, and how jobs of it are treated.

These are HKube's fields under Python names, parsed once and frozen; what validation of one field can find is found
while it is read, what needs the whole (`validate`) comes after. Fields that a stored job carries beside its descriptor
are accepted and ignored, because descriptors are often taken from a job that went before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from streamer import limits
from streamer.descriptor.connectors import BUILT_IN, ConnectorTables
from streamer.descriptor.document import Value
from streamer.descriptor.fields import Fields, Report
from streamer.descriptor.flow import Flow
from streamer.descriptor.node import Node, read_node
from streamer.descriptor.rules import (
    MismatchError,
    choice,
    expected,
    flag,
    free_mapping,
    free_text,
    member,
    name,
    text,
    whole,
)

_RECORD_FIELDS = (
    "activeTime",
    "auditTrail",
    "created",
    "externalId",
    "flowInputMetadata",
    "jobId",
    "lastRunResult",
    "maxExceeded",
    "modified",
    "next",
    "pdIntervalTimestamp",
    "preference",
    "queueTimeSeconds",
    "spanId",
    "startTime",
    "userPipeline",
)
_TYPES = (
    "algorithm",
    "batch",
    "cron",
    "debug",
    "dev-mode",
    "internal",
    "node",
    "raw",
    "rerun",
    "stored",
    "stream",
    "sub-pipeline",
    "tensorboard",
    "trigger",
)
_LEVELS = ("trace", "debug", "info", "warn", "error", "critical")
_CRON_BOUNDS = ((0, 59), (0, 59), (0, 23), (1, 31), (0, 12), (0, 7))
_CRON_PART = re.compile(r"(\*|\?|[0-9]{1,2}|[A-Za-z]{3})(?:-([0-9]{1,2}|[A-Za-z]{3}))?(?:/([0-9]{1,3}))?")


class PipelineKind(StrEnum):
    BATCH = "batch"
    STREAM = "stream"


@dataclass(frozen=True, slots=True)
class Streaming:
    """`default_flow` is '' in a batch pipeline; where there is one flow, it is the default."""

    flows: Mapping[str, Flow] = field(default_factory=dict)
    default_flow: str = ""


@dataclass(frozen=True, slots=True)
class DeclaredEdge:
    source: str
    target: str
    types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConcurrentPipelines:
    amount: int
    reject_on_failure: bool = True


@dataclass(frozen=True, slots=True)
class Options:
    ttl_s: int = 3600
    active_ttl_s: int | None = None
    batch_tolerance: int = 80
    concurrent_pipelines: ConcurrentPipelines | None = None
    progress_verbosity_level: str = "info"
    debug_override: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Webhooks:
    progress: str | None = None
    result: str | None = None


@dataclass(frozen=True, slots=True)
class Cron:
    pattern: str
    enabled: bool = False


@dataclass(frozen=True, slots=True)
class Triggers:
    pipelines: tuple[str, ...] = ()
    cron: Cron | None = None


@dataclass(frozen=True, slots=True)
class Pipeline:
    """`flow_input` is None where the descriptor gives none: a job may bring its own."""

    name: str
    kind: PipelineKind = PipelineKind.BATCH
    nodes: tuple[Node, ...] = ()
    streaming: Streaming = field(default_factory=Streaming)
    flow_input: Mapping[str, Value] | None = None
    description: str = ""
    experiment_name: str = "main"
    edges: tuple[DeclaredEdge, ...] = ()
    priority: int = 3
    tags: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    webhooks: Webhooks = field(default_factory=Webhooks)
    triggers: Triggers = field(default_factory=Triggers)
    options: Options = field(default_factory=Options)
    root_job_id: str | None = None
    version: str | None = None

    def node(self, node: str) -> Node:
        """Raises KeyError."""
        for found in self.nodes:
            if found.name == node:
                return found
        raise KeyError(node)


@dataclass(frozen=True, slots=True)
class Draft:
    """A pipeline whose fields have been read one by one and whose flows are still text."""

    pipeline: Pipeline
    flows: Mapping[str, str]
    has_streaming: bool


def read_pipeline(report: Report, connectors: ConnectorTables = BUILT_IN) -> Draft:
    """What is wrong with single fields goes into the report; the rest is for `validate`."""
    fields = report.top()
    streaming = fields.child("streaming")
    flows, default_flow = _streaming(streaming)
    if not fields.has("nodes"):
        fields.finding("nodes", "is missing", "Add at least one node.")
    pipeline = Pipeline(
        name=fields.named("name", name, example="name: words"),
        kind=fields.optional("kind", member(PipelineKind), PipelineKind.BATCH),
        nodes=tuple(read_node(node, connectors) for node in fields.children("nodes", limits.NODES_MAX)),
        streaming=Streaming(default_flow=default_flow),
        flow_input=fields.optional("flowInput", free_mapping, None),
        description=fields.optional("description", free_text, ""),
        experiment_name=fields.optional("experimentName", _experiment, "main"),
        edges=tuple(_edge(edge) for edge in fields.children("edges", limits.EDGES_MAX)),
        priority=fields.optional("priority", whole(1, 5), 3),
        tags=fields.many("tags", text(chars_max=32)),
        types=fields.many("types", choice(*_TYPES)),
        webhooks=_webhooks(fields.child("webhooks")),
        triggers=_triggers(fields.child("triggers")),
        options=_options(fields.child("options")),
        root_job_id=fields.optional("rootJobId", free_text, None),
        version=fields.optional("version", free_text, None),
    )
    fields.ignore(_RECORD_FIELDS)
    fields.close(where="a pipeline")
    return Draft(pipeline, flows, has_streaming=streaming is not None)


def _experiment(value: Value) -> str:
    found = name(value)
    if len(found) > 32:
        raise MismatchError(f"the name has {len(found)} characters", "Write at most 32 characters.")
    return found


def _streaming(fields: Fields | None) -> tuple[Mapping[str, str], str]:
    if fields is None:
        return {}, ""
    flows = fields.entries("flows", _flow_text)
    default_flow = fields.optional("defaultFlow", text(what="the name of a flow"), "")
    fields.ignore(("parsedFlow", "gateways"))
    fields.close(where="streaming")
    return flows, default_flow


def _flow_text(value: Value) -> str:
    if not isinstance(value, str):
        raise expected("a flow such as A >> B", value)
    return value


def _edge(fields: Fields) -> DeclaredEdge:
    edge = DeclaredEdge(
        source=fields.required("source", text(), "", example="source: A"),
        target=fields.required("target", text(), "", example="target: B"),
        types=fields.many("types", free_text),
    )
    fields.close(where="an edge")
    return edge


def _options(fields: Fields | None) -> Options:
    if fields is None:
        return Options()
    override = fields.many("debugOverride", text(what="the name of a node"))
    if len(set(override)) < len(override):
        fields.finding("debugOverride", "a node stands twice", "Name each node once.")
    options = Options(
        ttl_s=fields.optional("ttl", whole(0), 3600),
        active_ttl_s=fields.optional("activeTtl", whole(1), None),
        batch_tolerance=fields.optional("batchTolerance", whole(0, 100), 80),
        concurrent_pipelines=_concurrent_pipelines(fields),
        progress_verbosity_level=fields.optional("progressVerbosityLevel", choice(*_LEVELS), "info"),
        debug_override=override,
    )
    fields.close(where="options")
    return options


def _concurrent_pipelines(fields: Fields) -> ConcurrentPipelines | None:
    """A bare number, as HKube documents, or the object that it accepts."""
    amount = whole(1, 10_000)
    given = fields.optional("concurrentPipelines", _number_or_mapping, None)
    if not isinstance(given, dict):
        alone = None if given is None else fields.optional("concurrentPipelines", amount, None)
        return None if alone is None else ConcurrentPipelines(alone)
    nested = fields.child("concurrentPipelines")
    assert nested is not None
    found = ConcurrentPipelines(
        amount=nested.required("amount", amount, 1, example="amount: 1"),
        reject_on_failure=nested.optional("rejectOnFailure", flag, True),
    )
    nested.close(where="concurrentPipelines")
    return found


def _number_or_mapping(value: Value) -> Value:
    if isinstance(value, (list, bool)):
        raise expected("a number, or a mapping with amount and rejectOnFailure", value)
    return value


def _webhooks(fields: Fields | None) -> Webhooks:
    if fields is None:
        return Webhooks()
    address = text(pattern=r"^(f|ht)tps?://", what="an address that begins with http:// or https://")
    webhooks = Webhooks(fields.optional("progress", address, None), fields.optional("result", address, None))
    fields.close(where="webhooks")
    return webhooks


def _triggers(fields: Fields | None) -> Triggers:
    if fields is None:
        return Triggers()
    pipelines = fields.many("pipelines", name)
    if len(set(pipelines)) < len(pipelines):
        fields.finding("pipelines", "a pipeline stands twice", "Name each pipeline once.")
    nested = fields.child("cron")
    cron = None
    if nested is not None:
        cron = Cron(
            pattern=nested.required("pattern", _cron, "", example='pattern: "0 2 * * *"'),
            enabled=nested.optional("enabled", flag, False),
        )
        nested.close(where="cron")
    fields.close(where="triggers")
    return Triggers(pipelines, cron)


def _cron(value: Value) -> str:
    """5 fields, or 6 with seconds first."""
    what = "a cron pattern of 5 fields, or of 6 with seconds first"
    pattern = text(what=what)(value)
    parts = pattern.split()
    if len(parts) not in (5, 6):
        raise expected(what, value)
    for part, (least, most) in zip(reversed(parts), reversed(_CRON_BOUNDS), strict=False):
        for step in part.split(","):
            match = _CRON_PART.fullmatch(step)
            ends = [int(end) for end in match.groups()[:2] if end is not None and end.isdigit()] if match else []
            if match is None or any(not least <= end <= most for end in ends):
                raise MismatchError(
                    f"{step!r} in the cron pattern is not * or a number from {least} to {most}", f"Write {what}."
                )
    return pattern
