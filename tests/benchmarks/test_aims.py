"""An aim is judged with its figure, and all of them together tell which figures are where they should be."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import aims, page, record
from benchmarks.aims import Aim

_RATIO = Aim("a ratio", 0.75)
_LATENCY = Aim("a latency, us", 3000, at_most=True)


@pytest.mark.parametrize(
    ("aim", "found", "reached"),
    [
        pytest.param(_RATIO, 0.75, True, id="at least, just"),
        pytest.param(_RATIO, 0.74, False, id="at least, missed"),
        pytest.param(_LATENCY, 3000, True, id="at most, just"),
        pytest.param(_LATENCY, 3001, False, id="at most, missed"),
    ],
)
def test_an_aim_is_reached_at_its_bound(aim: Aim, found: float, reached: bool) -> None:
    assert aim.judge(found)["reached"] is reached
    assert aims.cells(aim.judge(found))[1] == ("yes" if reached else "no")


def test_a_figure_without_an_aim_leaves_its_cells_empty() -> None:
    assert aims.judge({"rate": None}, {"rate": 1.0}) == {}
    assert aims.cells(None) == ("", "")


def test_the_summary_has_one_line_for_what_is_measured_in_several_ways() -> None:
    judged = [("scenario.one", _RATIO.judge(found)) for found in (0.5, 0.8, 0.9)]
    alone = [("scenario.two", _LATENCY.judge(12_452.0)), ("scenario.two", Aim("a share", 4).judge(11.0))]

    told = aims.summary([*judged, *alone]).splitlines()[2:]

    assert told == [
        "| a ratio | `scenario.one` | ≥ 0.75 | 2 of 3 | **0.50 to 0.90** |",
        "| a latency, us | `scenario.two` | ≤ 3,000 | no | **12,452** |",
        "| a share | `scenario.two` | ≥ 4 | yes | **11** |",
    ]


def test_aims_are_read_from_the_records_that_are_there(tmp_path: Path) -> None:
    judged = _RATIO.judge(0.5)
    made = record.document("scenario.one", [], [{"case": "a", "aims": {"ratio": judged}}, {"case": "b"}])
    record.write(made, tmp_path / "one.json")

    found = list(aims.of_records(["scenario.one", "scenario.absent"], tmp_path))

    assert found == [("scenario.one", judged)]


def test_the_page_tells_what_the_records_say() -> None:
    assert aims.summary(list(aims.of_records(record.RECORDED))) in page.PAGE.read_text()
