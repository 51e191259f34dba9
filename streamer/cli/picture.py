"""The picture of a pipeline in a terminal: boxes in layers, joined by lines that go down.

What leaves a node runs over one horizontal line of its own, and every arrow has a column of its own, so that lines
only ever cross; a crossing shows the vertical line unbroken, and a corner or a branch always means a connection. Where
a picture would be wider than the terminal or too dense to follow, the same edges are listed instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streamer.cli.diagram import Diagram
from streamer.cli.layers import Kind, Place, closing_edges, layers_of

_ARROWS_MAX = 200
"""More arrows than this are listed: nobody can follow them, and ordering them costs their square."""

_UP, _RIGHT, _DOWN, _LEFT = 1, 2, 4, 8
_GLYPHS = " │─╰││╭├─╯─┴╮┤┬┼"
_VERTICAL, _HORIZONTAL = _UP | _DOWN, _LEFT | _RIGHT


def picture(diagram: Diagram, width: int) -> str:
    """The drawing, or the list of edges where it would not fit into `width` columns."""
    if len(diagram.arrows) <= _ARROWS_MAX:
        drawn = _drawn(diagram)
        if all(len(line) <= width for line in drawn):
            return "\n".join(drawn)
    return _listed(diagram)


def _listed(diagram: Diagram) -> str:
    closing = closing_edges([box.name for box in diagram.boxes], [(a.source, a.target) for a in diagram.arrows])
    lines = []
    for box in diagram.boxes:
        lines.append(f"{box.name}  ({box.caption})" if box.caption else box.name)
        for arrow in diagram.arrows:
            if arrow.source == box.name:
                back = "  ↺" if (arrow.source, arrow.target) in closing else ""
                lines.append(f"  ─▶ {arrow.target}{back}")
    return "\n".join(lines)


class _Canvas:
    """Characters by row and column; cells of lines remember whose line they are."""

    def __init__(self) -> None:
        self._cells: dict[tuple[int, int], str] = {}
        self._lines: dict[tuple[int, int], tuple[int, int]] = {}

    def put(self, row: int, column: int, text: str) -> None:
        for offset, character in enumerate(text):
            self._cells[row, column + offset] = character

    def line(self, row: int, column: int, directions: int, owner: int) -> None:
        other, there = self._lines.get((row, column), (owner, 0))
        if other == owner:
            self._lines[row, column] = (owner, there | directions)
        elif directions == _VERTICAL:
            self._lines[row, column] = (owner, directions)

    def rows(self) -> list[str]:
        cells = {at: _GLYPHS[directions] for at, (_, directions) in self._lines.items()} | self._cells
        height = max((row for row, _ in cells), default=-1) + 1
        rows: list[list[str]] = [[] for _ in range(height)]
        for (row, column), character in sorted(cells.items()):
            rows[row].extend(" " * (column - len(rows[row])) + character)
        return ["".join(row).rstrip() for row in rows]


@dataclass(slots=True)
class _Bus:
    """All that leaves one place of the layer above: from `start`, over a horizontal line, down to `ends`."""

    start: int
    ends: list[tuple[int, Place]]
    track: int = 0

    @property
    def straight(self) -> bool:
        return all(column == self.start for column, _ in self.ends)

    @property
    def span(self) -> tuple[int, int]:
        columns = [self.start, *(column for column, _ in self.ends)]
        return min(columns), max(columns)


def _drawn(diagram: Diagram) -> list[str]:
    canvas = _Canvas()
    layers = layers_of(diagram)
    row = 0
    starts: dict[int, int] = {}
    for number, layer in enumerate(layers):
        height = max(_height(place) for place in layer)
        for place in layer:
            _draw_place(canvas, row, height, place, starts)
        row += height
        if number + 1 < len(layers):
            row += _draw_gap(canvas, row, layer, layers[number + 1], starts)
    return canvas.rows()


def _height(place: Place) -> int:
    return len(place.text) + 2 if place.kind is Kind.BOX else 1


def _draw_place(canvas: _Canvas, top: int, height: int, place: Place, starts: dict[int, int]) -> None:
    """Draw one place; `starts` learns the column where its lines leave it."""
    if place.kind is Kind.PASSAGE:
        for row in range(top, top + height):
            canvas.line(row, starts[id(place)], _VERTICAL, id(place))
        return
    if place.kind is Kind.BACK:
        canvas.put(top, place.left, place.text[0])
        return
    inner = place.width - 2
    canvas.put(top, place.left, "╭" + "─" * inner + "╮")
    for offset, text in enumerate(place.text):
        canvas.put(top + 1 + offset, place.left, "│" + text.center(inner) + "│")
    bottom = top + 1 + len(place.text)
    canvas.put(bottom, place.left, "╰" + "─" * inner + "╯")
    starts[id(place)] = place.middle
    if place.below:
        canvas.put(bottom, place.middle, "┬")
        for row in range(bottom + 1, top + height):
            canvas.line(row, place.middle, _VERTICAL, id(place))


def _draw_gap(canvas: _Canvas, top: int, upper: Sequence[Place], lower: Sequence[Place], starts: dict[int, int]) -> int:
    """Draw the lines between two layers; returns the rows that they take."""
    buses = {id(place): _Bus(starts[id(place)], []) for place in upper if place.below}
    _choose_ports(buses, lower, starts)
    tracks = _choose_tracks([bus for bus in buses.values() if not bus.straight])
    last = top + tracks
    for owner, bus in buses.items():
        _draw_bus(canvas, top, last, owner, bus)
    return tracks + 1


def _choose_ports(buses: dict[int, _Bus], lower: Sequence[Place], starts: dict[int, int]) -> None:
    """Every arrow gets a column of its own at its target, straight below its start where that is free."""
    taken: dict[int, int] = {bus.start: owner for owner, bus in buses.items()}
    for place in lower:
        above = sorted(place.above, key=lambda p: buses[id(p)].start)
        margin = 0 if place.kind is Kind.PASSAGE else 1
        first, last = place.left + margin, place.left + place.width - 1 - margin
        for index, source in enumerate(above):
            bus = buses[id(source)]
            low = min(first + 2 * index, last)
            high = max(low, last - 2 * (len(above) - 1 - index))
            wish = min(max(bus.start, low), high)
            free = [c for c in range(low, high + 1) if taken.get(c, id(source)) == id(source)]
            column = min(free, key=lambda c: abs(c - wish)) if free else wish
            taken[column] = id(source)
            bus.ends.append((column, place))
            starts[id(place)] = column


def _choose_tracks(buses: Sequence[_Bus]) -> int:
    """Rows for the horizontal lines, shared by those that do not meet; returns their number."""
    tracks: list[list[tuple[int, int]]] = []
    for bus in sorted(buses, key=lambda bus: bus.span):
        low, high = bus.span
        for number, spans in enumerate(tracks):
            if all(high + 1 < other_low or low > other_high + 1 for other_low, other_high in spans):
                bus.track = number
                spans.append((low, high))
                break
        else:
            bus.track = len(tracks)
            tracks.append([(low, high)])
    return len(tracks)


def _draw_bus(canvas: _Canvas, top: int, last: int, owner: int, bus: _Bus) -> None:
    # Whole verticals are drawn as such, because only those may cross the horizontal line of another bus.
    track = last + 1 if bus.straight else top + bus.track
    for row in range(top, track):
        canvas.line(row, bus.start, _VERTICAL, owner)
    if not bus.straight:
        low, high = bus.span
        canvas.line(track, bus.start, _UP, owner)
        for column in range(low, high + 1):
            directions = (_RIGHT if column < high else 0) | (_LEFT if column > low else 0)
            canvas.line(track, column, directions, owner)
    for column, place in bus.ends:
        if not bus.straight:
            canvas.line(track, column, _DOWN, owner)
        for row in range(track + 1, last + 1):
            canvas.line(row, column, _VERTICAL, owner)
        if place.kind is not Kind.PASSAGE:
            canvas.put(last, column, "▼")
