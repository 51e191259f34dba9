"""`streamer graph`: what a pipeline looks like, as a picture for the terminal and as Mermaid text.

It needs a descriptor without findings and nothing else: a pipeline can be drawn before its algorithms exist. The edges
of a batch pipeline are the references in the inputs of its nodes; a stream's are the union of its flows.
"""

from __future__ import annotations

import shutil
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from streamer.cli.diagram import Arrow, Box, Diagram, mermaid
from streamer.cli.exits import BAD_INPUT, OK
from streamer.cli.output import say, tell
from streamer.cli.picture import picture
from streamer.connectors.installed import connector_tables
from streamer.descriptor.algorithm import Algorithm
from streamer.descriptor.inputs import Reference, find_references
from streamer.descriptor.load import load
from streamer.descriptor.node import Node, NodeKind, StateType
from streamer.descriptor.pipeline import Pipeline, PipelineKind
from streamer.descriptor.validate import state_type
from streamer.plan.graph import Graph

_PAGE_COLUMNS = 120
"""How wide a picture may be where no terminal says it."""


def graph(files: tuple[Path, ...], *, with_picture: bool, with_mermaid: bool) -> int:
    """The exit code."""
    loaded = load(files, connectors=connector_tables())
    if loaded.pipeline is None:
        for finding in loaded.findings:
            tell(str(finding))
        return BAD_INPUT
    diagram = diagram_of(loaded.pipeline, loaded.algorithms)
    parts = []
    if with_picture:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _PAGE_COLUMNS
        parts.append(picture(diagram, width))
        parts.append(_flow_lines(loaded.pipeline))
    if with_mermaid:
        parts.append(mermaid(diagram))
    say("\n\n".join(part for part in parts if part))
    return OK


def diagram_of(pipeline: Pipeline, algorithms: Mapping[str, Algorithm]) -> Diagram:
    flows = _edge_flows(pipeline)
    cycles = Graph(tuple(node.name for node in pipeline.nodes), tuple(flows)).cycles()
    return Diagram(
        boxes=tuple(_box(node, algorithms) for node in pipeline.nodes),
        arrows=tuple(
            Arrow(source, target, names, any(source in cycle and target in cycle for cycle in cycles))
            for (source, target), names in flows.items()
        ),
        flows=tuple((name, str(flow)) for name, flow in pipeline.streaming.flows.items()),
    )


def _edge_flows(pipeline: Pipeline) -> dict[tuple[str, str], tuple[str, ...]]:
    """Every edge, with the flows that take it."""
    found: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    if pipeline.kind is PipelineKind.BATCH:
        for edge in _references(pipeline):
            found[edge] = []
    for name, flow in pipeline.streaming.flows.items():
        for edge in flow.edges():
            found[edge].append(name)
    return {edge: tuple(names) for edge, names in found.items()}


def _references(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    names = {node.name for node in pipeline.nodes}
    for node in pipeline.nodes:
        for found in find_references(list(node.input)):
            if isinstance(found.reference, Reference) and found.reference.target in names:
                yield found.reference.target, node.name


def _box(node: Node, algorithms: Mapping[str, Algorithm]) -> Box:
    if node.kind in (NodeKind.SOURCE, NodeKind.SINK):
        return Box(node.name, str(node.kind), f"{node.kind}: {node.spec['connector']}")
    if node.kind is not NodeKind.ALGORITHM:
        return Box(node.name, str(node.kind), str(node.kind))
    state = state_type(node, algorithms)
    caption = f"{state}{_counts(node)}" if state is StateType.STATELESS else str(state)
    return Box(node.name, str(state), caption if node.algorithm == node.name else f"{node.algorithm}, {caption}")


def _counts(node: Node) -> str:
    """How many instances a stateless node has, where the descriptor says so."""
    least, most = node.min_stateless_count, node.max_stateless_count
    if least is None and most is None:
        return ""
    return f" {max(1, least or 0)}+" if most is None else f" {max(1, least or 0)}-{most}"


def _flow_lines(pipeline: Pipeline) -> str:
    flows = pipeline.streaming.flows
    if not flows:
        return ""
    titles = {name: f"{name} (default)" if name == pipeline.streaming.default_flow else name for name in flows}
    width = max(len(title) for title in titles.values())
    return "\n".join(f"{titles[name]:<{width}}  {flow}" for name, flow in flows.items())
