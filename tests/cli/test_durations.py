"""Durations are read as people write them, and shown as short as they can be read."""

from __future__ import annotations

import pytest

from streamer.cli.durations import format_elapsed, format_latency, parse_duration_s
from streamer.errors import OptionError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("30s", 30), ("2m", 120), ("1h", 3600), ("45", 45), ("1.5s", 1.5), (".5 s", 0.5), (" 2m ", 120)],
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "0", "0s", "-1s", "s", "1d", "1h30m", "1e3", "nan", "ten"])
def test_anything_else_is_refused_and_quoted(text: str) -> None:
    with pytest.raises(OptionError, match=f"{text!r} is no duration") as refused:
        parse_duration_s(text)

    assert "500ms, 30s, 2m or 1h" in refused.value.advice


@pytest.mark.parametrize(("seconds", "text"), [(0, "00:00"), (61.9, "01:01"), (3599, "59:59"), (3723, "1:02:03")])
def test_elapsed_time_reads_as_a_clock(seconds: float, text: str) -> None:
    assert format_elapsed(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.00025, "250 us"), (0.0012, "1.2 ms"), (0.0128, "13 ms"), (2.5, "2.5 s"), (60, "60 s")],
)
def test_a_latency_has_two_digits_and_a_unit(seconds: float | None, text: str) -> None:
    assert format_latency(seconds) == text
