"""The flow changes of the shapes: whatever is lost around one of them is counted as lost."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from streamer.testing.verify.checker import Arrival, Evidence, Verdict, Ways, judge
from streamer.testing.verify.pipeline import descriptor_plan, flow_plans, ways
from streamer.testing.verify.shapes import SHAPES

RECORDS = 12
CHANGING = [name for name, shape in SHAPES.items() if len(shape.flows) > 1]


def versions(name: str, folder: Path) -> list[Ways]:
    shape = SHAPES[name]
    records = [f"{source}#{n}" for source in shape.sources for n in range(RECORDS)]
    plan = descriptor_plan(shape, folder, 100.0, {})
    return [ways(shape, one, records) for one in flow_plans(shape, plan)]


def verdict(all_ways: list[Ways], taken: Ways, lost: tuple[str, str] | None = None) -> Verdict:
    """On all that comes of every record by one of the versions, but for one message."""
    arrivals: dict[str, list[Arrival]] = {}
    for sink, message in (leaf for leaves in taken.values() for leaf in leaves.elements() if leaf != lost):
        arrivals.setdefault(sink, []).append(Arrival(message))
    return judge(Verdict(7, "any"), Evidence(all_ways, taken.keys(), arrivals), lambda _text: None)


@pytest.mark.parametrize("name", CHANGING)
def test_two_versions_make_the_same_of_a_record_or_have_no_leaf_in_common(name: str, tmp_path: Path) -> None:
    for one, other in combinations(versions(name, tmp_path), 2):
        assert one.keys() == other.keys()
        for record, leaves in one.items():
            assert leaves == other[record] or not leaves.keys() & other[record].keys()


@pytest.mark.parametrize("name", CHANGING)
def test_a_message_that_is_lost_by_any_version_is_lost_whatever_the_other_ones_are(name: str, tmp_path: Path) -> None:
    all_ways = versions(name, tmp_path)

    for taken in all_ways:
        assert verdict(all_ways, taken) == Verdict(7, "any")
        for leaf in (leaf for leaves in taken.values() for leaf in leaves):
            assert verdict(all_ways, taken, leaf) == Verdict(7, "any", lost=1), leaf


def test_the_shapes_with_several_branches_change_their_flows() -> None:
    assert {"fan", "diamond", "mixed"} <= set(CHANGING)
