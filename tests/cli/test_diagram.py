"""Mermaid text: every node and edge once, cycles dotted, names that are words of Mermaid kept harmless."""

from __future__ import annotations

from streamer.cli.diagram import Arrow, Box, Diagram, mermaid

BOXES = (Box("lines", "source", "source: file"), Box("end", "stateless", "x1 to x4"), Box('say "hi"', "sink", ""))


def test_nodes_have_the_shape_of_their_role_and_ids_of_their_own() -> None:
    text = mermaid(Diagram(BOXES, (), (("main", "lines >> end"),)))

    assert text.splitlines() == [
        "flowchart TD",
        '    n0(["lines<br/>source: file"])',
        '    n1["end<br/>x1 to x4"]',
        '    n2[("say &quot;hi&quot;")]',
    ]


def test_edges_of_a_cycle_are_dotted() -> None:
    arrows = (Arrow("lines", "end", ("main",), False), Arrow("end", "end", ("main",), True))

    text = mermaid(Diagram(BOXES, arrows, (("main", "lines >> end >> end"),)))

    assert "    n0 --> n1" in text.splitlines()
    assert "    n1 -.-> n1" in text.splitlines()


def test_flows_are_named_where_there_are_several() -> None:
    arrows = (Arrow("lines", "end", ("main", "alert"), False),)

    text = mermaid(Diagram(BOXES, arrows, (("main", "lines >> end"), ("alert", "lines >> end"))))

    assert '    n0 -->|"main, alert"| n1' in text.splitlines()
