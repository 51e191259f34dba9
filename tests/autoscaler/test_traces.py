"""Traces: the built-in shapes, and files of seconds and rates with all that can be wrong in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoscaler.simulation.traces import JUDGED, NAMES, built_in, read_csv, traces
from streamer.errors import TraceError


@pytest.mark.parametrize("name", JUDGED)
def test_a_judged_trace_lasts_two_hours(name: str) -> None:
    assert len(built_in(name).rates) == 7200


def test_all_are_the_judged_ones_and_a_day_goes_by_its_name() -> None:
    assert [trace.name for trace in traces("all")] == list(JUDGED)
    assert len(traces("diurnal")[0].rates) == 86_400
    assert set(JUDGED) < set(NAMES)


def test_a_rate_holds_until_the_next_row_and_the_last_as_long_as_the_one_before_it() -> None:
    assert read_csv("t.csv", "0,10\n2,20\n5,30\n").rates == (10, 10, 20, 20, 20, 30, 30, 30)


def test_a_header_empty_lines_and_a_later_begin_are_fine() -> None:
    assert read_csv("t.csv", "seconds,rate\n100,1\n\n101,2\n").rates == (1, 2)


def test_rows_within_a_second_are_averaged_over_it() -> None:
    assert read_csv("t.csv", "0,10\n0.5,20\n1,40\n").rates == pytest.approx((15, 40))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "has 0 rows", id="empty"),
        pytest.param("0,5\n", "has 1 rows", id="one row"),
        pytest.param("0,5\n1\n", "line 2: 1 values", id="a value is missing"),
        pytest.param("0,5\n1,x\n", "line 2: 'x' is not a finite number", id="no number"),
        pytest.param("0,5\n1,nan\n", "line 2: 'nan' is not a finite number", id="not a number"),
        pytest.param("0,5\n1,-3\n", "line 2: a rate of -3: it cannot be negative", id="negative"),
        pytest.param("5,5\n5,6\n", "line 2: the time 5 does not come after 5", id="time stands still"),
        pytest.param("0,5\n1,1e12\n", "at most 1e+09 messages/s", id="too many messages"),
        pytest.param("0,5\n1e9,5\n", "lasts 1000000000 s", id="too long"),
    ],
)
def test_what_is_no_trace_is_told_with_its_place(text: str, said: str) -> None:
    with pytest.raises(TraceError) as raised:
        read_csv("t.csv", text)

    assert said in str(raised.value)
    assert str(raised.value).startswith("t.csv")


def test_all_lines_that_are_wrong_are_told_at_once() -> None:
    with pytest.raises(TraceError) as raised:
        read_csv("t.csv", "0,1\na,b\n2,-1\n")

    assert len(str(raised.value).splitlines()) == 2


def test_a_file_is_keyed_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "monday.csv"
    file.write_text("0,1\n5,2\n", encoding="utf-8")

    [trace] = traces(str(file))

    assert (trace.name, len(trace.rates)) == ("monday.csv", 10)


@pytest.mark.parametrize("name", ["mountain", "missing.csv"])
def test_a_trace_that_is_not_there_is_told(name: str) -> None:
    with pytest.raises(TraceError, match=name):
        traces(name)


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_bytes(b"0,1\n\xff\xfe")

    with pytest.raises(TraceError, match="not UTF-8"):
        traces(str(file))
