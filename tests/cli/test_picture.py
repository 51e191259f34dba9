"""The picture of a pipeline shows the edges it has, and no other.

Besides a few drawings written down, random graphs are drawn and read back: a tracer follows every line as a person's
eye would (a crossing goes straight on, a corner or branch connects), and what it finds must be the edges drawn.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from hypothesis import given
from hypothesis import strategies as st

from streamer.cli.diagram import Arrow, Box, Diagram
from streamer.cli.picture import picture

Edge = tuple[str, str]

_UP, _RIGHT, _DOWN, _LEFT = (-1, 0), (0, 1), (1, 0), (0, -1)
_WAYS = {
    "│": (_UP, _DOWN), "─": (_LEFT, _RIGHT), "╰": (_UP, _RIGHT), "╯": (_UP, _LEFT), "╭": (_DOWN, _RIGHT),
    "╮": (_DOWN, _LEFT), "├": (_UP, _DOWN, _RIGHT), "┤": (_UP, _DOWN, _LEFT), "┬": (_DOWN, _LEFT, _RIGHT),
    "┴": (_UP, _LEFT, _RIGHT), "┼": (_UP, _DOWN, _LEFT, _RIGHT),
}  # fmt: skip


def diagram(edges: Iterable[Edge], *, caption: str = "") -> Diagram:
    names = dict.fromkeys(name for edge in edges for name in edge)
    return Diagram(
        boxes=tuple(Box(name, "stateless", caption) for name in names),
        arrows=tuple(Arrow(source, target, ("main",), False) for source, target in dict.fromkeys(edges)),
        flows=(),
    )


def traced(drawing: str) -> set[Edge]:
    """The edges that a reader of the drawing sees."""
    rows = drawing.splitlines()
    found = set()
    for row, line in enumerate(rows):
        for box in re.finditer(r"│ +(n\d+) +│", line):
            start = rows[row + 1].find("┬", box.start(), box.end())
            if start >= 0:
                found |= {(box[1], target) for target in _targets(rows, row + 2, start)}
    return found


def _targets(rows: list[str], row: int, column: int) -> Iterator[str]:
    heads = [(row, column, _DOWN)]
    while heads:
        row, column, way = heads.pop()
        glyph = rows[row][column]
        if glyph == "▼":
            yield _name_below(rows, row + 1, column)
        elif glyph == "│" and way in (_LEFT, _RIGHT):
            heads.append((row + way[0], column + way[1], way))
        else:
            back = (-way[0], -way[1])
            assert back in _WAYS[glyph], f"a line breaks off at row {row}, column {column}"
            heads += [(row + w[0], column + w[1], w) for w in _WAYS[glyph] if w != back]


def _name_below(rows: list[str], row: int, column: int) -> str:
    for back in re.finditer(r"↺ (n\d+)", rows[row]):
        if back.start() <= column < back.end():
            return back[1]
    for box in re.finditer(r"│ +(n\d+) +│", rows[row + 1]):
        if box.start() <= column < box.end():
            return box[1]
    raise AssertionError(f"an arrow at row {row}, column {column} points at nothing")


def test_a_chain_is_drawn_from_top_to_bottom() -> None:
    assert picture(diagram([("lines", "parse"), ("parse", "save")]), 80) == "\n".join(
        [
            "╭───────╮",
            "│ lines │",
            "╰───┬───╯",
            "    ▼",
            "╭───────╮",
            "│ parse │",
            "╰───┬───╯",
            "    ▼",
            "╭──────╮",
            "│ save │",
            "╰──────╯",
        ]
    )


def test_a_branch_leaves_by_one_line() -> None:
    drawing = picture(diagram([("n0", "n1"), ("n0", "n2")]), 80)

    assert traced(drawing) == {("n0", "n1"), ("n0", "n2")}
    assert drawing.count("┬") == 1


def test_an_edge_that_closes_a_cycle_ends_in_a_reference() -> None:
    drawing = picture(diagram([("n0", "n1"), ("n1", "n2"), ("n2", "n1")]), 80)

    assert "↺ n1" in drawing
    assert traced(drawing) == {("n0", "n1"), ("n1", "n2"), ("n2", "n1")}


def test_a_node_without_edges_is_drawn() -> None:
    alone = Diagram((Box("alone", "stateless", ""),), (), ())

    assert "│ alone │" in picture(alone, 80)


def test_what_is_too_wide_is_listed() -> None:
    edges = [("n0", f"n{index}") for index in range(1, 20)] + [("n1", "n0")]

    text = picture(diagram(edges), 80)

    assert "n0\n  ─▶ n1\n  ─▶ n2\n" in text
    assert "n1\n  ─▶ n0  ↺\n" in text


@given(
    st.integers(1, 9).flatmap(
        lambda count: st.lists(st.tuples(st.integers(0, count), st.integers(0, count)), min_size=1, max_size=14)
    )
)
def test_a_drawing_shows_exactly_the_edges_of_its_pipeline(pairs: list[tuple[int, int]]) -> None:
    edges = [(f"n{source}", f"n{target}") for source, target in pairs]

    drawing = picture(diagram(edges), 10_000)

    assert traced(drawing) == set(edges)
