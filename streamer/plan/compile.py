"""From a validated pipeline to a plan: what each node of a job runs, and over which edges.

A plan is complete and says nothing about machines: paths are absolute, defaults are filled in, references into the
flowInput are resolved, and an assignment for any instance can be cut from it without looking at the descriptor again.
What a descriptor may say but this version cannot execute is refused here, all of it at once, rather than in
`descriptor`: such a descriptor is valid.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamer.descriptor.algorithm import Algorithm, code_file
from streamer.descriptor.flow import Flow
from streamer.descriptor.inputs import InputError, flatten, resolve
from streamer.descriptor.node import Node, NodeKind, StateType
from streamer.descriptor.pipeline import Pipeline, PipelineKind
from streamer.descriptor.validate import state_type
from streamer.errors import DescriptorError
from streamer.plan.assignment import Assignment, Code, Connector, Delivery, Gateway, Input, Output, Overload, Role
from streamer.plan.graph import Graph, graph_of
from streamer.plan.routing import RouteTable, compile_routes

_TASK_ID_CHARS = 8


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """`replicas` is what starts without an autoscaler; `max_replicas` None means no bound of the user's."""

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


@dataclass(frozen=True, slots=True)
class Plan:
    """`components` are the cycles: strongly connected, of more than one node."""

    pipeline: str
    nodes: Mapping[str, PlannedNode]
    routes: RouteTable
    components: tuple[frozenset[str], ...]

    def edges(self) -> tuple[tuple[str, str], ...]:
        """By source in the order of the nodes."""
        return tuple((node.name, output.target) for node in self.nodes.values() for output in node.outputs)

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
    ) -> Assignment:
        """What the `index`-th instance of `node` runs in this life."""
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
            routes=self.routes,
            inputs=planned.inputs,
            outputs=planned.outputs,
            folder=str(folder),
            dead_letters=str(dead_letters),
            control=control,
            endpoint=endpoint,
            code=planned.code,
            connector=planned.connector,
            gateway=planned.gateway,
            concurrency=planned.concurrency,
            args={**planned.args, "jobId": job, "taskId": _task_id(job, instance)},
            alone=alone,
        )


def compile_plan(pipeline: Pipeline, algorithms: Mapping[str, Algorithm], *, folder: Path) -> Plan:
    """`folder` is where relative paths of connectors begin. Raises DescriptorError that names everything refused."""
    if pipeline.kind is PipelineKind.BATCH:
        raise DescriptorError(
            f"pipeline {pipeline.name} is of kind batch, and batch pipelines do not run yet in this version",
            remedy="Set kind: stream and give it streaming.flows, or wait for a version that runs batch pipelines.",
        )
    graph = graph_of((node.name for node in pipeline.nodes), pipeline.streaming.flows)
    compiler = _Compiler(pipeline, algorithms, graph, folder.absolute())
    nodes = {node.name: compiler.node(node) for node in pipeline.nodes}
    if compiler.problems:
        remedies = dict.fromkeys(remedy for _, remedy in compiler.problems)
        raise DescriptorError("\n".join(message for message, _ in compiler.problems), remedy=" ".join(remedies))
    routes = compile_routes(pipeline.streaming.flows, pipeline.streaming.default_flow)
    return Plan(pipeline.name, nodes, routes, compiler.components)


class _Compiler:
    """`problems` are messages with their remedies."""

    def __init__(self, pipeline: Pipeline, algorithms: Mapping[str, Algorithm], graph: Graph, folder: Path) -> None:
        self.problems: list[tuple[str, str]] = []
        self.components = graph.cycles()
        self._pipeline = pipeline
        self._algorithms = algorithms
        self._sources: dict[str, list[str]] = {name: [] for name in graph.nodes}
        self._targets: dict[str, list[str]] = {name: [] for name in graph.nodes}
        for source, target in graph.edges:
            self._sources[target].append(source)
            self._targets[source].append(target)
        self._parsed_flow = _parsed_flow(pipeline.streaming.flows)
        self._folder = folder
        self._nodes = {node.name: node for node in pipeline.nodes}
        self._component = {name: at for at, component in enumerate(self.components) for name in component}

    def node(self, node: Node) -> PlannedNode:
        role = self._role(node)
        stateless = role is Role.STATELESS
        least = (node.min_stateless_count or 0) if stateless else 1
        algorithm = role in (Role.STATELESS, Role.STATEFUL)
        return PlannedNode(
            name=node.name,
            role=role,
            replicas=max(1, least),
            min_replicas=least,
            max_replicas=node.max_stateless_count if stateless else 1,
            inputs=tuple(Input(source, self._inside(source, node.name)) for source in self._sources[node.name]),
            outputs=tuple(self._output(node.name, target) for target in self._targets[node.name]),
            code=self._code(node) if algorithm else None,
            connector=self._connector(node) if role in (Role.SOURCE, Role.SINK) else None,
            concurrency=node.concurrency,
            args=self._args(node, role) if algorithm else {},
            gateway=_gateway(node) if role is Role.GATEWAY else None,
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

    def _inside(self, source: str, target: str) -> bool:
        return source in self._component and self._component[source] == self._component.get(target)

    def _output(self, source: str, target: str) -> Output:
        policy = self._nodes[target].edges
        return Output(
            target=target,
            inside=self._inside(source, target),
            delivery=Delivery(policy.delivery),
            queue_bytes=policy.queue_bytes,
            hop_limit=policy.hop_limit,
            overload=Overload(policy.overload),
        )

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
        for key in node.spec_paths:
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
            "parents": self._sources[node.name],
            "childs": self._targets[node.name],
            "parsedFlow": self._parsed_flow,
            "defaultFlow": pipeline.streaming.default_flow,
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


def _gateway(node: Node) -> Gateway:
    """A gateway without a name of its own has its node's."""
    return Gateway(str(node.spec.get("name", node.name)), int(str(node.spec.get("port", 0))))


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
