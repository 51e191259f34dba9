"""A pipeline as nodes and arrows, and its Mermaid text.

The diagram is the value that both pictures of a pipeline are drawn from (Mermaid here, the terminal in `picture`), so
that they show the same. It is made from names and flows alone: a pipeline can be drawn before its algorithms exist.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Box:
    """A node: `shape` is its role, `caption` a second line."""

    name: str
    shape: str
    caption: str


@dataclass(frozen=True, slots=True)
class Arrow:
    """An edge and the flows that take it. `cyclic`: both ends are in one cycle."""

    source: str
    target: str
    flows: tuple[str, ...]
    cyclic: bool


@dataclass(frozen=True, slots=True)
class Diagram:
    """`flows` are (name, text) pairs, the default flow first."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    flows: tuple[tuple[str, str], ...]


_BRACKETS = {"source": ("([", "])"), "sink": ("[(", ")]"), "stateful": ("[[", "]]")}


def mermaid(diagram: Diagram) -> str:
    """A Mermaid flowchart. Edges inside a cycle are dotted; flows are named where there is more than one."""
    return "\n".join(["flowchart TD", *_mermaid_lines(diagram)])


def _mermaid_lines(diagram: Diagram) -> Iterator[str]:
    # Names of nodes may be words of Mermaid (`end`), so boxes get ids of their own.
    ids = {box.name: f"n{index}" for index, box in enumerate(diagram.boxes)}
    for box in diagram.boxes:
        left, right = _BRACKETS.get(box.shape, ("[", "]"))
        text = _quoted("<br/>".join(part for part in (box.name, box.caption) if part))
        yield f"    {ids[box.name]}{left}{text}{right}"
    named = len(diagram.flows) > 1
    for arrow in diagram.arrows:
        line = "-.->" if arrow.cyclic else "-->"
        label = f"|{_quoted(_names(arrow.flows))}|" if named else ""
        yield f"    {ids[arrow.source]} {line}{label} {ids[arrow.target]}"


def _names(flows: Sequence[str]) -> str:
    return ", ".join(flows)


def _quoted(text: str) -> str:
    escaped = text.replace("&", "&amp;").replace('"', "&quot;")
    return f'"{escaped}"'
