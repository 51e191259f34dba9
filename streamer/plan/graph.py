"""The graph of a pipeline: which node sends to which, over all flows, and where it goes round.

Sockets, credit and the end of a job belong to edges between nodes, whatever flow a message takes on them, so the graph
is the union of the flows. Edges inside a strongly connected component never block (a full cycle would wait for itself),
and a component ends as a whole; both are decided here once, for every instance alike. The search keeps its own stack:
a chain of a thousand nodes is legal and deeper than a recursion may be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from streamer.descriptor.flow import Flow


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes and edges, each once, in the order of the descriptor."""

    nodes: tuple[str, ...]
    edges: tuple[tuple[str, str], ...]

    def sources(self, node: str) -> tuple[str, ...]:
        return tuple(source for source, target in self.edges if target == node)

    def targets(self, node: str) -> tuple[str, ...]:
        return tuple(target for source, target in self.edges if source == node)

    def leading_to(self, targets: Iterable[str]) -> frozenset[str]:
        """The nodes from which at least one hop leads to one of these, over any number of others."""
        found: set[str] = set()
        looking = list(targets)
        while looking:
            target = looking.pop()
            above = {source for source in self.sources(target) if source not in found}
            found |= above
            looking += above
        return frozenset(found)

    def cycles(self) -> tuple[frozenset[str], ...]:
        """Strongly connected components of more than one node, or of one that sends to itself."""
        following: dict[str, list[str]] = {node: [] for node in self.nodes}
        for source, target in self.edges:
            following[source].append(target)
        return tuple(
            component
            for component in _components(following)
            if len(component) > 1 or any(node in following[node] for node in component)
        )


def graph_of(nodes: Iterable[str], flows: Mapping[str, Flow]) -> Graph:
    """Nodes outside every flow are part of the graph, without edges."""
    edges = dict.fromkeys(edge for flow in flows.values() for edge in flow.edges())
    return Graph(tuple(nodes), tuple(edges))


@dataclass(slots=True)
class _Visit:
    node: str
    following: Iterator[str]


def _components(following: Mapping[str, list[str]]) -> Iterator[frozenset[str]]:
    """Tarjan's search. `low` is the earliest node still open that can be reached."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    open_nodes: dict[str, None] = {}
    for start in following:
        path = [] if start in order else [_Visit(start, iter(following[start]))]
        while path:
            node = path[-1].node
            if node not in order:
                order[node] = low[node] = len(order)
                open_nodes[node] = None
            deeper = next((child for child in path[-1].following if child not in order), None)
            if deeper is not None:
                path.append(_Visit(deeper, iter(following[deeper])))
                continue
            low[node] = min([low[node], *(low[child] for child in following[node] if child in open_nodes)])
            path.pop()
            if low[node] == order[node]:
                component = set()
                while node not in component:
                    component.add(open_nodes.popitem()[0])
                yield frozenset(component)
