"""One node of a pipeline: HKube's fields, the kinds `source` and `sink`, and the policies of edges.

`spec` means something else for every kind, so it is read by a table for each, and kept as a mapping with its defaults
filled in. Fields that only matter to kinds and pipelines which do not execute yet are judged all the same: a descriptor
that is accepted today must not turn out to be wrong tomorrow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from streamer import limits
from streamer.descriptor.connectors import (
    NO_CONNECTOR,
    ConnectorShape,
    ConnectorTables,
    SpecField,
    read_connector,
    read_spec,
)
from streamer.descriptor.document import Value
from streamer.descriptor.fields import Fields
from streamer.descriptor.rules import (
    MismatchError,
    algorithm_name,
    anything,
    choice,
    flag,
    free_mapping,
    free_text,
    member,
    name,
    number,
    quantity,
    sequence,
    text,
    whole,
)


class NodeKind(StrEnum):
    ALGORITHM = "algorithm"
    SOURCE = "source"
    SINK = "sink"
    PIPELINE = "pipeline"
    DEBUG = "debug"
    DATA_SOURCE = "dataSource"
    GATEWAY = "gateway"
    OUTPUT = "output"
    TUNER = "hyperparamsTuner"


class StateType(StrEnum):
    STATELESS = "stateless"
    STATEFUL = "stateful"


@dataclass(frozen=True, slots=True)
class Retry:
    policy: str = "OnCrash"
    limit: int = 3


@dataclass(frozen=True, slots=True)
class ErrorPolicy:
    """What becomes of a message whose handler raises: it is tried again up to `limit` times, `then` given up."""

    limit: int = 0
    delay_s: float = limits.RETRY_DELAY_S
    factor: float = limits.RETRY_FACTOR
    max_delay_s: float = limits.RETRY_DELAY_MAX_S
    then: str = "dead-letter"


@dataclass(frozen=True, slots=True)
class EdgePolicy:
    """What a node declares for the edges into it."""

    delivery: str = "at-least-once"
    overload: str = "block"
    queue_bytes: int = limits.QUEUE_BYTES_DEFAULT
    hop_limit: int = limits.HOP_LIMIT_DEFAULT


@dataclass(frozen=True, slots=True)
class Partitioning:
    """How a stateful node shares its messages over replicas: by the key that lies at this path of each; '' means not.

    `least` and `most` are None where the descriptor does not say.
    """

    by: str = ""
    least: int | None = None
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """`algorithm` is '' where the kind needs none; `state_type` None means that of the algorithm."""

    name: str
    kind: NodeKind = NodeKind.ALGORITHM
    algorithm: str = ""
    input: tuple[Value, ...] = ()
    state_type: StateType | None = None
    min_stateless_count: int | None = None
    max_stateless_count: int | None = None
    partitioning: Partitioning = field(default_factory=Partitioning)
    edges: EdgePolicy = field(default_factory=EdgePolicy)
    durability: str = "none"
    concurrency: int = 1
    batch_operation: str = "indexed"
    retry: Retry | None = None
    on_error: ErrorPolicy | None = None
    ttl: float = 0
    include_in_results: bool = False
    metrics: Mapping[str, Value] = field(default_factory=dict)
    spec: Mapping[str, Value] = field(default_factory=dict)
    spec_paths: tuple[str, ...] = ()
    """Fields of the spec that name files ..."""
    spec_shared: tuple[str, ...] = ()
    """... and those whose files any number of nodes may look into."""
    replicated: bool = False
    """Whether its connector lets instances share the work."""
    extra_data: Mapping[str, Value] = field(default_factory=dict)
    cache_job_id: str | None = None
    orig_name: str | None = None


_KEY_PATH = rf"\A(\.|[^.]+(\.[^.]+){{0,{limits.KEY_PATH_STEPS_MAX - 1}}})\Z"
_KEY_PATH_TEXT = "a path of names with dots between, such as user.id, or . for the message itself"
_HANDLING = (NodeKind.ALGORITHM, NodeKind.DEBUG)
_LEAVE_OUT = "Leave it out here."
_NAMED = SpecField(text(what="a name"))
_SPECS: Mapping[NodeKind, Mapping[str, SpecField]] = {
    NodeKind.PIPELINE: {"name": SpecField(name, required=True, example="name: simple")},
    NodeKind.GATEWAY: {
        "name": SpecField(name),
        "description": SpecField(free_text),
        "mem": SpecField(anything, "512Mi"),
        "cpu": SpecField(number(0), 0.5),
        "port": SpecField(whole(1, 65_535)),
    },
    NodeKind.DATA_SOURCE: {"id": _NAMED, "name": _NAMED, "snapshot": SpecField(free_mapping)},
    NodeKind.OUTPUT: {"description": SpecField(free_text), "mem": SpecField(anything)},
    NodeKind.TUNER: {
        "numberOfTrials": SpecField(whole(1), required=True, example="numberOfTrials: 10"),
        "objectivePipeline": SpecField(name, required=True, example="objectivePipeline: simple"),
        "hyperParams": SpecField(sequence, []),
        "sampler": SpecField(free_mapping),
    },
}


def read_node(fields: Fields, connectors: ConnectorTables) -> Node:
    """One element of `nodes`."""
    kind = fields.optional("kind", member(NodeKind), NodeKind.ALGORITHM)
    has_algorithm = kind in _HANDLING
    spec, shape = _spec(fields, kind, connectors)
    node = Node(
        name=fields.named("nodeName", _node_name, example="nodeName: parse"),
        kind=kind,
        algorithm=fields.named("algorithmName", algorithm_name, example="algorithmName: parse")
        if has_algorithm
        else fields.optional("algorithmName", algorithm_name, ""),
        input=tuple(fields.optional("input", sequence, ())),
        state_type=fields.optional("stateType", member(StateType), None),
        min_stateless_count=fields.optional("minStatelessCount", whole(0, limits.INSTANCES_PER_NODE_MAX), None),
        max_stateless_count=fields.optional("maxStatelessCount", whole(0), None),
        partitioning=_partitioning(fields),
        edges=_edge_policy(fields),
        durability=fields.optional("durability", choice("none", "log"), "none"),
        concurrency=fields.optional("concurrency", whole(1, limits.CONCURRENCY_MAX), 1),
        batch_operation=fields.optional("batchOperation", choice("indexed", "cartesian"), "indexed"),
        retry=_retry(fields.child("retry")),
        on_error=_on_error(fields, kind),
        ttl=_ttl(fields, kind),
        include_in_results=fields.optional("includeInResults", flag, False)
        | fields.optional("includeInResult", flag, False),
        metrics=_metrics(fields.child("metrics")),
        spec=spec,
        spec_paths=shape.paths,
        spec_shared=shape.shared,
        replicated=shape.replicated,
        extra_data=fields.optional("extraData", free_mapping, {}),
        cache_job_id=fields.optional("cacheJobId", free_text, None),
        orig_name=fields.optional("origName", free_text, None),
    )
    fields.close(where="a node")
    return node


def _node_name(value: Value) -> str:
    found = name(value)
    if found in ("flowInput", "dataSource"):
        raise MismatchError(f'"{found}" is reserved for references', "Choose another name.")
    return found


def _partitioning(fields: Fields) -> Partitioning:
    replicas = whole(1, limits.KEY_GROUPS)
    return Partitioning(
        by=fields.optional("partitionBy", text(pattern=_KEY_PATH, what=_KEY_PATH_TEXT), ""),
        least=fields.optional("minReplicas", replicas, None),
        most=fields.optional("maxReplicas", replicas, None),
    )


def _edge_policy(fields: Fields) -> EdgePolicy:
    return EdgePolicy(
        delivery=fields.optional("delivery", choice("at-least-once", "at-most-once"), "at-least-once"),
        overload=fields.optional("overload", choice("block", "drop-oldest", "drop-newest", "error"), "block"),
        queue_bytes=fields.optional("queueBytes", quantity(1, limits.RETAINED_BYTES_MAX), limits.QUEUE_BYTES_DEFAULT),
        hop_limit=fields.optional("hopLimit", whole(1, limits.HOPS_MAX), limits.HOP_LIMIT_DEFAULT),
    )


def _retry(fields: Fields | None) -> Retry | None:
    if fields is None:
        return None
    retry = Retry(
        policy=fields.optional("policy", choice("Never", "Always", "OnError", "OnCrash"), "OnCrash"),
        limit=fields.optional("limit", whole(1), 3),
    )
    fields.close(where="retry")
    return retry


def _ttl(fields: Fields, kind: NodeKind) -> float:
    found = fields.optional("ttl", number(0), 0)
    if found and kind in (NodeKind.SOURCE, NodeKind.SINK, NodeKind.GATEWAY):
        fields.finding("ttl", f"a node of kind {kind} has no handler whose calls could take too long", _LEAVE_OUT)
    return found


def _on_error(fields: Fields, kind: NodeKind) -> ErrorPolicy | None:
    inner = fields.child("onError")
    if inner is None:
        return None
    if kind not in _HANDLING:
        fields.finding("onError", f"a node of kind {kind} has no handler that could fail", _LEAVE_OUT)
    if fields.has("retry"):
        fields.finding("onError", "retry says the same in HKube's words", "Keep one of onError and retry.")
    then = inner.optional("then", choice("dead-letter", "drop", "stop"), "dead-letter")
    retry = inner.child("retry")
    policy = ErrorPolicy(then=then) if retry is None else _retry_policy(retry, then)
    inner.close(where="onError")
    return policy


def _retry_policy(fields: Fields, then: str) -> ErrorPolicy:
    seconds = number(0, limits.RETRY_DELAY_S_MAX)
    default = ErrorPolicy()
    policy = ErrorPolicy(
        limit=fields.required("limit", whole(0, limits.RETRIES_MAX), 0, example="limit: 3"),
        delay_s=fields.optional("delay", seconds, default.delay_s),
        factor=fields.optional("factor", number(1, limits.RETRY_FACTOR_MAX), default.factor),
        max_delay_s=fields.optional("maxDelay", seconds, default.max_delay_s),
        then=then,
    )
    if policy.max_delay_s < policy.delay_s:
        at = "maxDelay" if fields.has("maxDelay") else "delay"
        fields.finding(
            at,
            f"a delay of {policy.delay_s:g} s is longer than maxDelay, {policy.max_delay_s:g} s",
            "Let maxDelay be the longer one.",
        )
    fields.close(where="onError.retry")
    return policy


def _metrics(fields: Fields | None) -> Mapping[str, Value]:
    if fields is None:
        return {}
    tensorboard = fields.optional("tensorboard", flag, None)
    fields.close(where="metrics of a node")
    return {} if tensorboard is None else {"tensorboard": tensorboard}


def _spec(fields: Fields, kind: NodeKind, connectors: ConnectorTables) -> tuple[Mapping[str, Value], ConnectorShape]:
    """The spec, and what is to be known of its connector."""
    if kind not in (NodeKind.SOURCE, NodeKind.SINK):
        return _spec_of_kind(fields, kind), NO_CONNECTOR
    spec = fields.child("spec")
    if spec is None:
        fields.required("spec", anything, None, example="spec: {connector: file, path: access.log}")
        return {}, NO_CONNECTOR
    return read_connector(spec, str(kind), connectors)


def _spec_of_kind(fields: Fields, kind: NodeKind) -> Mapping[str, Value]:
    spec = fields.child("spec")
    if kind not in _SPECS:
        return fields.optional("spec", free_mapping, {})
    if spec is None:
        if any(field.required for field in _SPECS[kind].values()):
            names = ", ".join(key for key, field in _SPECS[kind].items() if field.required)
            fields.finding("spec", "is missing", f"A node of kind {kind} needs a spec with {names}.")
        return {}
    read = read_spec(spec, _SPECS[kind])
    if kind is NodeKind.DATA_SOURCE and "id" not in read and "name" not in read:
        spec.finding("name", "is missing", "Give the id or the name of the data source.")
    spec.close(where=f"the spec of a {kind}")
    return read
