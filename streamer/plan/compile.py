"""From a validated pipeline to a plan: what each node of a job runs, and over which edges.

A plan is complete and says nothing about machines: paths are absolute, defaults are filled in, references into the
flowInput are resolved, and an assignment for any instance can be cut from it without looking at the descriptor again.
What a descriptor may say but this version cannot execute is refused here, all of it at once, rather than in
`descriptor`: such a descriptor is valid.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from streamer.descriptor.algorithm import Algorithm, code_file
from streamer.descriptor.flow import Flow, parse_flow
from streamer.descriptor.inputs import InputError, flatten, resolve
from streamer.descriptor.node import Node, NodeKind, StateType
from streamer.descriptor.pipeline import Pipeline, PipelineKind
from streamer.descriptor.resources import Needs, accelerator_of
from streamer.descriptor.rules import bytes_of
from streamer.descriptor.validate import state_type
from streamer.errors import DescriptorError
from streamer.plan.assignment import (
    Assignment,
    Canary,
    Code,
    Connector,
    Delivery,
    Durability,
    Gateway,
    Input,
    OnError,
    Output,
    Overload,
    Role,
    Wiring,
)
from streamer.plan.declared import Policy, gateway_of, on_error_of, policy_of, replicas_of
from streamer.plan.graph import graph_of
from streamer.plan.routing import RouteTable
from streamer.plan.versions import FlowTexts, FlowVersion, flow_version

_TASK_ID_CHARS = 8


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """`replicas` is what starts without an autoscaler; `max_replicas` None means no bound of the user's.

    `inputs` and `outputs` are the edges of all versions that are alive, `policy` is for edges into this node, as is
    `partition_by`, the path of the key of a message where the node is partitioned, else ''. `needs` is what each of its
    instances asks of a machine.
    """

    name: str
    role: Role
    replicas: int
    min_replicas: int
    max_replicas: int | None
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    code: Code | None
    connector: Connector | None
    concurrency: int
    args: Mapping[str, Any]
    gateway: Gateway | None = None
    policy: Policy = field(default_factory=Policy)
    on_error: OnError = field(default_factory=OnError)
    ttl_s: float = 0.0
    durability: Durability = Durability.NONE
    partition_by: str = ""
    needs: Needs = field(default_factory=Needs)


@dataclass(frozen=True, slots=True)
class Plan:
    """`versions` of the flows are those that are alive, the oldest first.

    The last one is in force, unless it is a `canary`, which only a share of the roots takes: then it is the one before.
    `components` are the cycles: strongly connected, of more than one node. `past` are the edges of versions that are
    over, if no version has them now; `former` are the texts of the last ones that are over.
    """

    pipeline: str
    nodes: Mapping[str, PlannedNode]
    versions: tuple[FlowVersion, ...]
    components: tuple[frozenset[str], ...]
    past: tuple[tuple[str, str], ...] = ()
    former: tuple[FlowTexts, ...] = ()
    canary: Canary | None = None

    @property
    def current(self) -> FlowVersion:
        """The version in force."""
        return self.versions[-1 if self.canary is None else -2]

    @property
    def newest(self) -> FlowVersion:
        return self.versions[-1]

    @property
    def known(self) -> tuple[FlowTexts, ...]:
        """All versions that one can go back to, the oldest first."""
        return (*self.former, *(version.texts for version in self.versions))

    @property
    def routes(self) -> RouteTable:
        """Those of the version in force."""
        return self.current.table

    def edges(self) -> tuple[tuple[str, str], ...]:
        """By source in the order of the nodes."""
        return tuple((node.name, output.target) for node in self.nodes.values() for output in node.outputs)

    def edges_ever(self) -> tuple[tuple[str, str], ...]:
        """Also those that no version has any more."""
        edges = (*self.edges(), *self.past)
        return tuple(edge for name in self.nodes for edge in edges if edge[0] == name)

    def wiring(self, node: str, number: int, current: int, canary: Canary | None = None) -> Wiring:
        """What an instance of `node` is to know of the flows."""
        planned = self.nodes[node]
        tables = tuple(version.table for version in self.versions)
        return Wiring(number, tables, current, planned.inputs, planned.outputs, canary)

    def assignment(
        self,
        node: str,
        index: int,
        *,
        job: str,
        token: str,
        epoch: int,
        folder: str | Path,
        dead_letters: str | Path,
        control: str,
        endpoint: str = "tcp://127.0.0.1:0",
        alone: bool = False,
        state: str | Path = "",
        kept: str | Path = "",
        wiring: Wiring | None = None,
    ) -> Assignment:
        """What the `index`-th instance of `node` runs in this life, in the flows of the plan or as `wiring` says."""
        planned = self.nodes[node]
        instance = f"{node}-{index}"
        return Assignment(
            job=job,
            pipeline=self.pipeline,
            token=token,
            node=node,
            instance=instance,
            epoch=epoch,
            role=planned.role,
            wiring=wiring or self.wiring(node, 1, self.current.number, self.canary),
            folder=str(folder),
            dead_letters=str(dead_letters),
            control=control,
            endpoint=endpoint,
            code=planned.code,
            connector=planned.connector,
            gateway=planned.gateway,
            concurrency=planned.concurrency,
            args={**planned.args, "jobId": job, "taskId": _task_id(job, instance)},
            on_error=planned.on_error,
            ttl_s=planned.ttl_s,
            alone=alone,
            state=str(state),
            durability=planned.durability,
            partition_by=planned.partition_by,
            kept=str(kept),
        )


def compile_plan(pipeline: Pipeline, algorithms: Mapping[str, Algorithm], *, folder: Path) -> Plan:
    """`folder` is where relative paths of connectors begin. Raises DescriptorError that names everything refused."""
    if pipeline.kind is PipelineKind.BATCH:
        raise DescriptorError(
            f"pipeline {pipeline.name} is of kind batch, and batch pipelines do not run yet in this version",
            remedy="Set kind: stream and give it streaming.flows, or wait for a version that runs batch pipelines.",
        )
    compiler = _Compiler(pipeline, algorithms, folder.absolute())
    nodes = {node.name: compiler.node(node) for node in pipeline.nodes}
    if compiler.problems:
        remedies = dict.fromkeys(remedy for _, remedy in compiler.problems)
        raise DescriptorError("\n".join(message for message, _ in compiler.problems), remedy=" ".join(remedies))
    streaming = pipeline.streaming
    return wired(pipeline.name, nodes, (flow_version(streaming.flows, streaming.default_flow, 1),))


def wired(
    pipeline: str,
    nodes: Mapping[str, PlannedNode],
    versions: Sequence[FlowVersion],
    past: Sequence[tuple[str, str]] = (),
    *,
    former: Sequence[FlowTexts] = (),
    canary: Canary | None = None,
) -> Plan:
    """The plan in which these nodes are joined by the edges of these versions, and by no others.

    Whether an edge lies in a cycle is judged on all versions together, since messages of all of them are on their way.
    """
    flows = {
        f"{version.number} {name}": parse_flow(text, name)
        for version in versions
        for name, text in version.flows.items()
    }
    graph = graph_of(nodes, flows)
    components = graph.cycles()
    component = {name: at for at, names in enumerate(components) for name in names}
    inputs: dict[str, list[Input]] = {name: [] for name in nodes}
    outputs: dict[str, list[Output]] = {name: [] for name in nodes}
    above_drops = graph.leading_to(name for name, node in nodes.items() if node.policy.overload is not Overload.BLOCK)
    floors = all(node.policy.delivery is Delivery.AT_LEAST_ONCE for node in nodes.values())
    for source, target in graph.edges:
        inside = source in component and component[source] == component.get(target)
        inputs[target].append(Input(source, inside))
        policy = nodes[target].policy
        outputs[source].append(
            Output(
                target,
                inside,
                policy.delivery,
                policy.queue_bytes,
                policy.hop_limit,
                policy.overload,
                drops_below=target in above_drops,
                floors=floors,
                partition_by=nodes[target].partition_by,
            )
        )
    current = versions[-1 if canary is None else -2]
    parsed = _parsed_flow({name: flows[f"{current.number} {name}"] for name in current.flows})
    joined = {}
    for name, node in nodes.items():
        args = node.args and {
            **node.args,
            "parents": [edge.source for edge in inputs[name]],
            "childs": [edge.target for edge in outputs[name]],
            "parsedFlow": parsed,
            "defaultFlow": current.default,
        }
        joined[name] = replace(node, inputs=tuple(inputs[name]), outputs=tuple(outputs[name]), args=args)
    return Plan(pipeline, joined, tuple(versions), components, tuple(past), tuple(former), canary)


class _Compiler:
    """`problems` are messages with their remedies."""

    def __init__(self, pipeline: Pipeline, algorithms: Mapping[str, Algorithm], folder: Path) -> None:
        self.problems: list[tuple[str, str]] = []
        self._pipeline = pipeline
        self._algorithms = algorithms
        self._folder = folder

    def node(self, node: Node) -> PlannedNode:
        """The node by itself: `wired` joins it to others."""
        role = self._role(node)
        least, most = replicas_of(node, role)
        algorithm = role in (Role.STATELESS, Role.STATEFUL)
        return PlannedNode(
            name=node.name,
            role=role,
            replicas=max(1, least),
            min_replicas=least,
            max_replicas=most,
            inputs=(),
            outputs=(),
            code=self._code(node) if algorithm else None,
            connector=self._connector(node) if role in (Role.SOURCE, Role.SINK) else None,
            concurrency=node.concurrency,
            args=self._args(node, role) if algorithm else {},
            gateway=gateway_of(node) if role is Role.GATEWAY else None,
            policy=policy_of(node),
            on_error=on_error_of(node),
            ttl_s=float(node.ttl) if algorithm else 0.0,
            durability=Durability(node.durability),
            partition_by=node.partitioning.by,
            needs=self._needs(node) if algorithm else Needs(),
        )

    def _role(self, node: Node) -> Role:
        if node.kind is NodeKind.SOURCE:
            return Role.SOURCE
        if node.kind is NodeKind.SINK:
            return Role.SINK
        if node.kind is NodeKind.GATEWAY:
            return Role.GATEWAY
        if node.kind is not NodeKind.ALGORITHM:
            self._refuse(
                f"node {node.name}: nodes of kind {node.kind} do not run yet in this version",
                "Use nodes of kind algorithm, source, sink and gateway.",
            )
        stateless = state_type(node, self._algorithms) is StateType.STATELESS
        return Role.STATELESS if stateless else Role.STATEFUL

    def _needs(self, node: Node) -> Needs:
        algorithm = self._algorithms.get(node.algorithm)
        if algorithm is None:
            return Needs()
        found = algorithm.resources
        kind = accelerator_of(algorithm.placement.node_selector) if found.gpu else ""
        return Needs(found.cpu, found.gpu, bytes_of(found.mem), kinds={kind: found.gpu} if kind else {})

    def _code(self, node: Node) -> Code | None:
        if node.kind is not NodeKind.ALGORITHM:
            return None
        algorithm = self._algorithms.get(node.algorithm)
        file = code_file(algorithm) if algorithm is not None else None
        if algorithm is None or file is None:
            self._refuse(
                f"node {node.name}: algorithm {node.algorithm} needs code.path to run on this machine",
                "Add code: {path: FILE.py} to the algorithm's document.",
            )
            return None
        if algorithm.env not in (None, "python"):
            self._refuse(
                f"node {node.name}: algorithm {algorithm.name} has env {algorithm.env}, "
                "and only python runs in this version",
                "Use an algorithm written in Python.",
            )
        elif file.suffix != ".py":
            self._refuse(
                f"node {node.name}: {file} of algorithm {algorithm.name} is not a Python file",
                "Let code.path name a .py file, or a folder with entryPoint.",
            )
        return Code(algorithm.name, str(file))

    def _connector(self, node: Node) -> Connector:
        """Its spec without the connector's name."""
        name = str(node.spec["connector"])
        spec = {key: value for key, value in node.spec.items() if key != "connector"}
        for key in (*node.spec_paths, *node.spec_shared):
            if key in spec:
                spec[key] = str(self._folder / str(spec[key]))
        return Connector(name, spec)

    def _args(self, node: Node, role: Role) -> Mapping[str, Any]:
        pipeline = self._pipeline
        stateful = role is Role.STATEFUL
        resolved = []
        for value in node.input:
            try:
                resolved.append(resolve(value, dict(pipeline.flow_input) if pipeline.flow_input is not None else None))
            except InputError as error:
                self._refuse(f"node {node.name}: {error}", error.advice)
        return {
            "input": resolved,
            "flatInput": flatten(resolved),
            "storage": {},
            "batchIndex": None,
            "parentNodeName": None,
            "spanId": None,
            "nodeName": node.name,
            "algorithmName": node.algorithm,
            "pipelineName": pipeline.name,
            "kind": str(pipeline.kind),
            "stateType": str(StateType.STATEFUL if stateful else StateType.STATELESS),
            "priority": pipeline.priority,
            "metrics": dict(node.metrics),
            "ttl": node.ttl,
            # In a stream the state type decides, whatever the node says.
            "retry": {"policy": "Always", "limit": 10_000} if stateful else {"policy": "Never", "limit": 0},
            "spec": dict(node.spec),
            "info": {
                "extraData": dict(node.extra_data),
                "savePaths": [],
                "lastRunResult": None,
                "rootJobId": pipeline.root_job_id,
            },
        }

    def _refuse(self, message: str, remedy: str) -> None:
        self.problems.append((message, remedy))


def _task_id(job: str, instance: str) -> str:
    """The same for every life of an instance."""
    return hashlib.blake2b(f"{job}/{instance}".encode(), digest_size=_TASK_ID_CHARS // 2).hexdigest()


def _parsed_flow(flows: Mapping[str, Flow]) -> dict[str, list[dict[str, Any]]]:
    """`{flow: [{source, next}]}`: the edges of each flow by source."""
    parsed = {}
    for name, flow in flows.items():
        following: dict[str, list[str]] = {}
        for source, target in flow.edges():
            following.setdefault(source, []).append(target)
        parsed[name] = [{"source": source, "next": targets} for source, targets in following.items()]
    return parsed
