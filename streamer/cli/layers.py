"""Where the nodes of a diagram stand: layers from top to bottom, an order in each, and columns.

The usual steps of a layered drawing: edges that close a cycle are set aside, ranks are longest paths, an edge over
several layers becomes a chain of passages, neighbours are ordered by the mean of what they hang on, and columns follow
with the least displacement. The edges set aside end in a reference (`↺ name`) below their source: a line that goes up
again would have to cross everything, and a reader looks for the cycle by its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise

from streamer.cli.diagram import Box, Diagram

GAP_COLUMNS = 2
_SWEEPS = 6
_PASSAGE_WIDTH = 3


class Kind(Enum):
    BOX = "box"
    PASSAGE = "passage"
    BACK = "back"


@dataclass(slots=True, eq=False)
class Place:
    """Something that stands in a layer: a box, a passage of a longer edge, or a reference back."""

    kind: Kind
    text: tuple[str, ...]
    width: int = _PASSAGE_WIDTH
    left: int = 0
    above: list[Place] = field(default_factory=list)
    below: list[Place] = field(default_factory=list)

    @property
    def middle(self) -> int:
        return self.left + self.width // 2


def layers_of(diagram: Diagram) -> list[list[Place]]:
    """The places of all layers, linked with each other and with their columns set."""
    names = [box.name for box in diagram.boxes]
    edges = list(dict.fromkeys((arrow.source, arrow.target) for arrow in diagram.arrows))
    backward = closing_edges(names, edges)
    forward = [edge for edge in edges if edge not in backward]
    ranks = _ranks(names, forward)
    layers = _places(diagram.boxes, ranks, forward, [edge for edge in edges if edge in backward])
    layers = _ordered(layers)
    _set_columns(layers)
    return layers


def closing_edges(names: Sequence[str], edges: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """The edges that lead back to a node on the way to them, for a walk from the nodes without inputs on."""
    targets: dict[str, list[str]] = {name: [] for name in names}
    entered = set()
    for source, target in edges:
        targets[source].append(target)
        entered.add(target)
    closing: set[tuple[str, str]] = set()
    on_the_way: dict[str, bool] = {}
    for root in sorted(names, key=lambda name: name in entered):
        stack = [(root, iter(targets[root]))] if root not in on_the_way else []
        on_the_way.setdefault(root, True)
        while stack:
            name, rest = stack[-1]
            below = next(rest, None)
            if below is None:
                on_the_way[name] = False
                stack.pop()
            elif below not in on_the_way:
                on_the_way[below] = True
                stack.append((below, iter(targets[below])))
            elif on_the_way[below]:
                closing.add((name, below))
    return closing


def _ranks(names: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Longest paths; a node without inputs moves down to just above its first target."""
    ranks = dict.fromkeys(names, 0)
    changed = True
    while changed:
        changed = False
        for source, target in edges:
            if ranks[target] <= ranks[source]:
                ranks[target] = ranks[source] + 1
                changed = True
    entered = {target for _, target in edges}
    for name in names:
        below = [ranks[target] for source, target in edges if source == name]
        if name not in entered and below:
            ranks[name] = min(below) - 1
    return ranks


def _places(
    boxes: Sequence[Box],
    ranks: Mapping[str, int],
    forward: Sequence[tuple[str, str]],
    backward: Sequence[tuple[str, str]],
) -> list[list[Place]]:
    layers: list[list[Place]] = [[] for _ in range(max(ranks.values(), default=-1) + 2)]
    places: dict[str, Place] = {}
    for box in boxes:
        lines = tuple(line for line in (box.name, box.caption) if line)
        ports = sum(target == box.name for _, target in forward)
        place = Place(Kind.BOX, lines, max(4 + max(len(line) for line in lines), 2 * ports + 3))
        places[box.name] = place
        layers[ranks[box.name]].append(place)
    for source, target in forward:
        at = places[source]
        for rank in range(ranks[source] + 1, ranks[target]):
            passage = Place(Kind.PASSAGE, ())
            layers[rank].append(passage)
            _link(at, passage)
            at = passage
        _link(at, places[target])
    for source, target in backward:
        text = f"↺ {target}"
        back = Place(Kind.BACK, (text,), len(text))
        layers[ranks[source] + 1].append(back)
        _link(places[source], back)
    return [layer for layer in layers if layer]


def _link(above: Place, below: Place) -> None:
    above.below.append(below)
    below.above.append(above)


def _ordered(layers: list[list[Place]]) -> list[list[Place]]:
    """The order with the fewest crossings that a few sweeps down and up have met."""
    best, fewest = layers, _crossings(layers)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for layer, fixed in (
            zip(layers[1:], layers, strict=False) if down else zip(layers[-2::-1], layers[::-1], strict=False)
        ):
            index = {id(place): i for i, place in enumerate(fixed)}
            own = {id(place): i for i, place in enumerate(layer)}
            layer.sort(key=lambda place: _mean(place.above if down else place.below, index, own[id(place)]))
        found = _crossings(layers)
        if found < fewest:
            best, fewest = [list(layer) for layer in layers], found
    return best


def _mean(neighbours: Sequence[Place], index: Mapping[int, int], own: float) -> float:
    return sum(index[id(place)] for place in neighbours) / len(neighbours) if neighbours else own


def _crossings(layers: Sequence[Sequence[Place]]) -> int:
    count = 0
    for upper, lower in pairwise(layers):
        index = {id(place): i for i, place in enumerate(lower)}
        ends = [index[id(below)] for place in upper for below in sorted(place.below, key=lambda p: index[id(p)])]
        count += sum(later < earlier for i, earlier in enumerate(ends) for later in ends[i + 1 :])
    return count


def _set_columns(layers: Sequence[Sequence[Place]]) -> None:
    """Middles go to the mean middle of their neighbours as far as the order and the widths allow."""
    for layer in layers:
        _settle_layer(layer, [0.0] * len(layer))
    for _ in range(_SWEEPS):
        for layer in layers[1:]:
            _settle_layer(layer, [_mean_middle(place, place.above) for place in layer])
        for layer in layers[-2::-1]:
            _settle_layer(layer, [_mean_middle(place, place.below) for place in layer])
    for layer in layers[1:]:
        _settle_layer(layer, [_mean_middle(place, place.above) for place in layer])
    left = min((place.left for layer in layers for place in layer), default=0)
    for layer in layers:
        for place in layer:
            place.left -= left


def _mean_middle(place: Place, neighbours: Sequence[Place]) -> float:
    return sum(p.middle for p in neighbours) / len(neighbours) if neighbours else float(place.middle)


def _settle_layer(layer: Sequence[Place], middles: Sequence[float]) -> None:
    """Least squares under "each begins after the one before": neighbours that collide share their mean (as a pool)."""
    offset = 0
    pools: list[tuple[float, int]] = []
    offsets = []
    for place, middle in zip(layer, middles, strict=True):
        offsets.append(offset)
        mean, size = middle - place.width // 2 - offset, 1
        while pools and pools[-1][0] > mean:
            before, count = pools.pop()
            mean, size = (mean * size + before * count) / (size + count), size + count
        pools.append((mean, size))
        offset += place.width + GAP_COLUMNS
    starts = [mean for mean, size in pools for _ in range(size)]
    for place, start, shift in zip(layer, starts, offsets, strict=True):
        place.left = round(start) + shift
