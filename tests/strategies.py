"""Hypothesis strategies for the languages of descriptors.

Flows are built as values that keep the rules of the grammar (no edge twice in a flow, none from a node to itself), so
that a property about flows never spends its examples on text that is refused; `values` has no rules at all.
"""

from __future__ import annotations

import string

from hypothesis import strategies as st

from streamer.descriptor.document import Value
from streamer.descriptor.flow import Expression, Flow

_NAME_CHARS = string.ascii_letters + string.digits + "-_.:"

node_names = st.text(_NAME_CHARS, min_size=1, max_size=8)

scalars: st.SearchStrategy[Value] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
)

values: st.SearchStrategy[Value] = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=12), inner, max_size=4)),
    max_leaves=20,
)
"""Whatever JSON or YAML can hold."""


@st.composite
def flows(draw: st.DrawFn) -> Flow:
    """Flows that the grammar allows, cycles and nodes that occur again included."""
    names = draw(st.lists(node_names, min_size=2, max_size=6, unique=True))
    group = st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True)
    wished = draw(st.lists(st.lists(group, min_size=2, max_size=5), min_size=1, max_size=4))
    seen: set[tuple[str, str]] = set()
    expressions = []
    for groups in wished:
        kept: list[tuple[str, ...]] = []
        for nodes in groups:
            edges = {(source, target) for source in (kept[-1] if kept else ()) for target in nodes}
            if edges & seen or any(source == target for source, target in edges):
                break
            seen |= edges
            kept.append(tuple(nodes))
        if len(kept) > 1:
            expressions.append(Expression(tuple(kept)))
    if not expressions:
        expressions.append(Expression(((names[0],), (names[1],))))
    return Flow(tuple(expressions))


spaces = st.text(" \t\n", max_size=3)
