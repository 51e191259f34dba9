"""Spans of time as people write them: `500ms`, `30s`, `2m`, `1h`, or plain seconds.

One number and one unit are enough for an option; sums like `1h30m` would need a grammar for what `90m` says as well.
"""

from __future__ import annotations

import re

from streamer.errors import OptionError

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_FORM = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|m|h|)")
_REMEDY = "Write a number above 0 and a unit: 500ms, 30s, 2m or 1h (without a unit, seconds)."


def parse_duration_s(text: str) -> float:
    """Seconds. Raises OptionError."""
    form = _FORM.fullmatch(text.strip())
    duration_s = float(form[1]) * _UNITS_S[form[2]] if form else 0.0
    if duration_s <= 0:
        raise OptionError(f"{text!r} is no duration", remedy=_REMEDY)
    return duration_s


def format_elapsed(elapsed_s: float) -> str:
    """As a clock shows it: 00:12, 03:07, 1:02:03."""
    minutes, seconds = divmod(int(elapsed_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes:02}:{seconds:02}"


def format_latency(latency_s: float | None) -> str:
    """Two significant digits and a unit, '-' where nothing was measured."""
    if latency_s is None:
        return "-"
    if latency_s < 0.001:
        return f"{_short(latency_s * 1e6)} us"
    if latency_s < 1:
        return f"{_short(latency_s * 1e3)} ms"
    return f"{_short(latency_s)} s"


def _short(value: float) -> str:
    return f"{value:.1f}" if value < 9.95 else f"{value:.0f}"
