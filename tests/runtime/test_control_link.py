"""When an instance reports: at once what somebody waits for, often while anything happens, and else once a second."""

from __future__ import annotations

import pytest

from streamer.limits import REPORT_CALM_S, REPORT_S
from streamer.runtime.control_link import Reports

TOLD = Reports(at=10.0, facts="running", progress=(7,))


def test_a_change_of_facts_is_told_at_once() -> None:
    assert TOLD.due(10.0, "draining", (7,))


@pytest.mark.parametrize(
    ("progress", "after_s"),
    [
        pytest.param((8,), REPORT_S, id="something happened"),
        pytest.param(None, REPORT_S, id="something is under way"),
        pytest.param((7,), REPORT_CALM_S, id="nothing happens"),
    ],
)
def test_it_is_told_so_long_after_the_last_report(progress: object, after_s: float) -> None:
    assert not TOLD.due(10.0 + 0.99 * after_s, "running", progress)
    assert TOLD.due(10.0 + after_s, "running", progress)


def test_what_was_under_way_is_told_to_be_over() -> None:
    assert Reports(10.0, "running", None).due(10.0 + REPORT_S, "running", (7,))
