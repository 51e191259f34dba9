"""What only the whole descriptor can show: names that must exist, rules of flows, nodes in the wrong place.

All rules look at the same draft and add to one report; none stops another. Where a rule needs something that another
rule has refused already (a flow that does not parse has no edges), it stays silent, so that one mistake makes one
finding. What only a job needs (a flowInput, code on this machine) is not asked here: a descriptor is valid without.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, replace

from streamer import limits
from streamer.descriptor.algorithm import Algorithm
from streamer.descriptor.document import Value
from streamer.descriptor.fields import Report
from streamer.descriptor.finding import Path, quote, suggestion
from streamer.descriptor.inputs import DATA_SOURCE, FLOW_INPUT, Found, Reference, find_references
from streamer.descriptor.node import Node, NodeKind, StateType
from streamer.descriptor.pipeline import Draft, Pipeline, PipelineKind, Streaming
from streamer.descriptor.streaming import Member, judge

_RUNS_ALGORITHM = (NodeKind.ALGORITHM, NodeKind.DEBUG)
_ALWAYS_STATEFUL = (NodeKind.SOURCE, NodeKind.SINK, NodeKind.GATEWAY)


def validate(
    draft: Draft, algorithms: Mapping[str, Algorithm], report: Report, *, all_algorithms: bool = True
) -> Pipeline:
    """The pipeline with its flows; what is wrong goes into the report.

    Without `all_algorithms`, some could not be read, and none is called missing.
    """
    pipeline = draft.pipeline
    if draft.has_streaming and report.refused(("kind",)):
        pipeline = replace(pipeline, kind=PipelineKind.STREAM)
    first = {node.name: index for index, node in reversed(list(enumerate(pipeline.nodes))) if node.name}
    rules = _Rules(pipeline, algorithms, report, dict(reversed(first.items())))
    rules.names()
    if all_algorithms:
        rules.algorithms_exist()
    rules.counts()
    rules.partitions()
    rules.references()
    rules.files()
    if pipeline.kind is not PipelineKind.STREAM:
        rules.outputs()
        rules.acyclic()
        if draft.has_streaming:
            report.add(
                ("streaming",),
                "streaming flow is only allowed in stream pipeline",
                "Set kind: stream, or remove streaming.",
            )
        return pipeline
    rules.stream_kinds()
    rules.durable_entries()
    rules.gateways()
    return replace(pipeline, streaming=rules.streaming(draft.flows))


def state_type(node: Node, algorithms: Mapping[str, Algorithm]) -> StateType:
    """The node's own, else its algorithm's, else stateless; sources, sinks and gateways are stateful."""
    if node.kind in _ALWAYS_STATEFUL:
        return StateType.STATEFUL
    if node.state_type is not None:
        return node.state_type
    algorithm = algorithms.get(node.algorithm)
    return (algorithm.state_type if algorithm is not None else None) or StateType.STATELESS


@dataclass(frozen=True, slots=True)
class _Rules:
    pipeline: Pipeline
    known_algorithms: Mapping[str, Algorithm]
    report: Report
    indices: Mapping[str, int]
    """First index of each name."""

    def _at(self, index: int, *field: str | int) -> Path:
        return ("nodes", index, *field)

    def names(self) -> None:
        for index, node in enumerate(self.pipeline.nodes):
            if node.name and self.indices[node.name] != index:
                self.report.add(
                    self._at(index, "nodeName"),
                    f"the node {quote(node.name)} stands twice (first as nodes[{self.indices[node.name]}])",
                    "Give each node a name of its own.",
                )
        override, edges = self.pipeline.options.debug_override, self.pipeline.edges
        named: list[tuple[Path, str, str]] = [
            (("options", "debugOverride", index), name, "debugOverride node not in nodes list: ")
            for index, name in enumerate(override)
        ]
        named += [(("edges", index, "source"), edge.source, "") for index, edge in enumerate(edges)]
        named += [(("edges", index, "target"), edge.target, "") for index, edge in enumerate(edges)]
        unknown = [(path, name, prefix) for path, name, prefix in named if name and name not in self.indices]
        for path, name, prefix in unknown[: limits.FINDINGS_ALIKE_MAX]:
            self.report.add(path, f"{prefix}{quote(name)} is not a node", suggestion(name, self.indices, what="nodes"))

    def algorithms_exist(self) -> None:
        """A batch pipeline that comes alone is judged where its algorithms are stored."""
        if self.pipeline.kind is PipelineKind.BATCH and not self.known_algorithms:
            return
        for index, node in enumerate(self.pipeline.nodes):
            name = node.algorithm
            if node.kind not in _RUNS_ALGORITHM or self.report.refused(self._at(index, "algorithmName")):
                continue
            if name and name not in self.known_algorithms:
                remedy = f"Add a document with name: {name} and code: {{path: FILE.py}}, or name its file too."
                if self.known_algorithms:
                    remedy = suggestion(name, self.known_algorithms, what="algorithms")
                self.report.add(
                    self._at(index, "algorithmName"), f"algorithm {quote(name)} is in none of the documents", remedy
                )

    def counts(self) -> None:
        for index, node in enumerate(self.pipeline.nodes):
            least, most = node.min_stateless_count, node.max_stateless_count
            given = [
                field
                for field, count in (("minStatelessCount", least), ("maxStatelessCount", most))
                if count is not None
            ]
            stateless = node.kind in _RUNS_ALGORITHM and state_type(node, self.known_algorithms) is StateType.STATELESS
            if given and not stateless:
                self.report.add(
                    self._at(index, given[0]),
                    f"nodes which are not stateType=stateless cannot have {' and '.join(given)}",
                    f"Remove {' and '.join(given)}, or make the node stateless.",
                )
            elif least is not None and most is not None and least > most:
                self.report.add(
                    self._at(index, "minStatelessCount"),
                    f"minStatelessCount {least} is greater than maxStatelessCount {most}",
                    "Lower the one or raise the other.",
                )

    def partitions(self) -> None:
        """Only a stateful algorithm has keys; whether one that is not known is stateful cannot be said."""
        for index, node in enumerate(self.pipeline.nodes):
            parts = node.partitioning
            given = [f for f, count in (("minReplicas", parts.least), ("maxReplicas", parts.most)) if count is not None]
            if self.report.refused(self._at(index, "partitionBy")):
                continue
            if parts.by and (node.kind not in _RUNS_ALGORITHM or self._surely_stateless(node)):
                self.report.add(
                    self._at(index, "partitionBy"),
                    f"node {quote(node.name)} is not a stateful algorithm, and only those are partitioned by a key",
                    "Remove partitionBy, or set stateType: stateful.",
                )
            elif given and not parts.by and not node.replicated:
                self.report.add(
                    self._at(index, given[0]),
                    f"{' and '.join(given)} without partitionBy: a node that is not partitioned has no such replicas",
                    "Add partitionBy with the path of a key, or use minStatelessCount and maxStatelessCount on a "
                    "stateless node.",
                )
            elif parts.least is not None and parts.most is not None and parts.least > parts.most:
                self.report.add(
                    self._at(index, "minReplicas"),
                    f"minReplicas {parts.least} is greater than maxReplicas {parts.most}",
                    "Lower the one or raise the other.",
                )
            if parts.by and node.concurrency > 1:
                self.report.add(
                    self._at(index, "concurrency"),
                    "a partitioned node handles one message after the other, so that each key stays in order",
                    "Remove concurrency, and raise maxReplicas to handle more keys at the same time.",
                )

    def references(self) -> None:
        nodes = {node.name: node for node in self.pipeline.nodes}
        for index, node in enumerate(self.pipeline.nodes):
            for found in find_references(list(node.input)):
                problem = self._reference_problem(node, found, nodes)
                if self.report.full:
                    return
                if problem is not None:
                    self.report.add(self._at(index, "input", *found.path), *problem)

    def _reference_problem(self, node: Node, found: Found, nodes: Mapping[str, Node]) -> tuple[str, str] | None:
        if found.problem is not None:
            return str(found.problem), found.problem.advice
        reference = found.reference
        if not isinstance(reference, Reference) or reference.target in (FLOW_INPUT, DATA_SOURCE):
            return None
        target = nodes.get(reference.target)
        if self.pipeline.kind is PipelineKind.STREAM and (target is None or target.kind is not NodeKind.DATA_SOURCE):
            return (
                f'the "@" sign is not allowed in "stream" pipeline, use streaming.flows: {quote(found.text)}',
                "Connect the nodes in streaming.flows; input may refer to @flowInput.",
            )
        if target is None:
            return (
                f"node {quote(node.name)} depends on node {quote(reference.target)}, which does not exist",
                suggestion(reference.target, (name for name in nodes if name), what="nodes"),
            )
        return None

    def files(self) -> None:
        """A file has one writer, and who writes it does not read it."""
        users: dict[str, tuple[int, Node]] = {}
        for index, node in enumerate(self.pipeline.nodes):
            for field in (path for path in node.spec_paths if path in node.spec):
                path = posixpath.normpath(str(node.spec[field]))
                other = users.setdefault(path, (index, node))[1]
                if other is not node and NodeKind.SINK in (node.kind, other.kind):
                    self.report.add(
                        self._at(index, "spec", field),
                        f"{quote(node.spec[field])} is used by node {quote(other.name)} too",
                        "Give a sink a file of its own.",
                    )

    def stream_kinds(self) -> None:
        for index, node in enumerate(self.pipeline.nodes):
            if node.kind is NodeKind.OUTPUT:
                self.report.add(
                    self._at(index, "kind"),
                    "an output node is not allowed in a stream pipeline",
                    "Use a node of kind: sink to write messages out.",
                )
            if node.kind in _ALWAYS_STATEFUL and node.state_type is StateType.STATELESS:
                self.report.add(
                    self._at(index, "stateType"),
                    f'{str(node.kind).capitalize()} node {quote(node.name)} stateType must be "stateful"',
                    "Remove stateType.",
                )

    def durable_entries(self) -> None:
        """A log is for what comes in from outside: what a message becomes is made again from there."""
        for index, node in enumerate(self.pipeline.nodes):
            if node.durability == "none":
                continue
            if node.kind is NodeKind.SINK:
                what = f"sink {quote(node.name)} sends nothing"
            elif node.kind in _RUNS_ALGORITHM and self._surely_stateless(node):
                what = f"stateless node {quote(node.name)} sends only what comes of its input, which is sent again"
            elif node.kind not in (*_ALWAYS_STATEFUL, *_RUNS_ALGORITHM):
                what = f"a node of kind {node.kind} has no log"
            elif node.replicated:
                what = f"what source {quote(node.name)} reads is kept where it reads it"
            else:
                continue
            self.report.add(
                self._at(index, "durability"),
                f"durability: {node.durability} has no effect here: {what}",
                "Put it on the source, gateway or stateful node at which messages come in, or remove it.",
            )

    def gateways(self) -> None:
        """Each has a name and a port that no other has."""
        users: dict[tuple[str, Value], Node] = {}
        for index, node in enumerate(self.pipeline.nodes):
            if node.kind is not NodeKind.GATEWAY or self.indices.get(node.name) != index:
                continue
            named = "name" in node.spec
            taken = {"name": node.spec.get("name", node.name)}
            taken |= {"port": node.spec["port"]} if "port" in node.spec else {}
            for field, value in taken.items():
                other = users.setdefault((field, value), node)
                if other is not node:
                    self.report.add(
                        self._at(index, *(("spec", field) if named or field == "port" else ("nodeName",))),
                        f"the {field} {quote(value)} is that of gateway node {quote(other.name)} too",
                        f"Give each gateway a spec.{field} of its own.",
                    )

    def streaming(self, texts: Mapping[str, str]) -> Streaming:
        if not texts and self.report.refused(("streaming",)):
            return Streaming()
        nodes = self.pipeline.nodes
        members = {
            name: Member(nodes[index].kind, self._surely_stateless(nodes[index]))
            for name, index in self.indices.items()
        }
        complete = not self.report.refused(("streaming", "flows"))
        judged = judge(texts, self.pipeline.streaming.default_flow, members, complete=complete)
        for violation in judged.violations:
            path = violation.path
            if path[0] == "nodes":
                path = self._at(self.indices[str(path[1])], *path[2:])
            self.report.add(path, violation.message, violation.remedy)
        return Streaming(judged.flows, judged.default) if texts else Streaming()

    def _surely_stateless(self, node: Node) -> bool:
        """An algorithm that is not known might have said otherwise."""
        known = node.state_type is not None or node.algorithm in self.known_algorithms
        return known and state_type(node, self.known_algorithms) is StateType.STATELESS

    def outputs(self) -> None:
        """Of a batch pipeline."""
        outputs = [(index, node) for index, node in enumerate(self.pipeline.nodes) if node.kind is NodeKind.OUTPUT]
        parents = self._parents()
        for index, node in outputs:
            if node is not outputs[0][1]:
                self.report.add(self._at(index, "kind"), "there is more than one output node", "Keep one of them.")
            if not parents.get(node.name):
                self.report.add(
                    self._at(index, "input"),
                    f"output node {quote(node.name)} has no parents",
                    'Refer to nodes in its input, for example ["@node"].',
                )
            if any(node.name in of for of in parents.values()):
                self.report.add(
                    self._at(index, "nodeName"),
                    f"output node {quote(node.name)} cannot have children",
                    "Remove the references to it.",
                )

    def acyclic(self) -> None:
        """Order of a batch pipeline comes from references, which therefore cannot go round."""
        waiting = {name: set(parents) for name, parents in self._parents().items()}
        while ready := [name for name, parents in waiting.items() if not parents]:
            for name in ready:
                del waiting[name]
            for parents in waiting.values():
                parents.difference_update(ready)
        if waiting:
            names = [name for name in waiting if any(name in parents for parents in waiting.values())]
            self.report.add(
                self._at(self.indices[names[0]], "input"),
                f"the inputs of {', '.join(names)} refer to each other in a cycle",
                "Remove one of the references; cycles are for stream pipelines.",
            )

    def _parents(self) -> dict[str, set[str]]:
        known = self.indices
        return {
            name: {
                found.reference.target
                for found in find_references(list(self.pipeline.nodes[index].input))
                if isinstance(found.reference, Reference) and found.reference.target in known
            }
            for name, index in known.items()
        }
