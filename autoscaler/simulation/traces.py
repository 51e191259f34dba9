"""Traces: how many messages per second arrive, second by second, without noise.

The five built-in shapes are judged together: a jump and its return, a slow change, a smooth one, short peaks, and
nothing followed by much. A sixth, by name only, is a day with bursts. A CSV file of `seconds,rate` is a trace as well:
each rate holds until the next row, the last one as long as the one before it.
"""

from __future__ import annotations

import csv
import io
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autoscaler.collect.web import OPEN, Access
from autoscaler.simulation.query_range import read_rows
from streamer import limits
from streamer.errors import TraceError

_TWO_HOURS_S = 7200
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Trace:
    """`rates[t]` is the messages per second in second t."""

    name: str
    rates: tuple[float, ...]

    @classmethod
    def of(cls, name: str, rate: Callable[[int], float], seconds: int) -> Trace:
        return cls(name, tuple(rate(t) for t in range(seconds)))


def _step(t: int) -> float:
    return 1000.0 if 600 <= t < 4200 else 100.0


def _ramp(t: int) -> float:
    if t < 4200:
        return 100.0 + 900.0 * min(1.0, max(0.0, (t - 600) / 1800))
    return max(100.0, 1000.0 - 900.0 * (t - 4200) / 1800)


def _sine(t: int) -> float:
    return 500.0 - 400.0 * math.cos(2 * math.pi * t / 1800)


def _spikes(t: int) -> float:
    return 1500.0 if 600 <= t % 900 < 660 else 200.0


def _onoff(t: int) -> float:
    return 600.0 if (t // 600) % 2 else 0.0


def _diurnal() -> Callable[[int], float]:
    """A day between 50 and 650 messages/s, and twelve bursts of one to six minutes and up to five times the rate."""
    chance = random.Random("diurnal")
    bursts = []
    for hour in range(1, 24, 2):
        begin = hour * 3600 + chance.randrange(3600)
        bursts.append((begin, begin + chance.randrange(60, 360), chance.uniform(2.0, 5.0)))

    def rate(t: int) -> float:
        calm = 350.0 - 300.0 * math.cos(2 * math.pi * (t - 14_400) / _DAY_S)
        return calm * next((factor for begin, end, factor in bursts if begin <= t < end), 1.0)

    return rate


_BUILT_IN: Mapping[str, Callable[[], Trace]] = {
    "step": lambda: Trace.of("step", _step, _TWO_HOURS_S),
    "ramp": lambda: Trace.of("ramp", _ramp, _TWO_HOURS_S),
    "sine": lambda: Trace.of("sine", _sine, _TWO_HOURS_S),
    "spikes": lambda: Trace.of("spikes", _spikes, _TWO_HOURS_S),
    "onoff": lambda: Trace.of("onoff", _onoff, _TWO_HOURS_S),
    "diurnal": lambda: Trace.of("diurnal", _diurnal(), _DAY_S),
}
JUDGED = ("step", "ramp", "sine", "spikes", "onoff")
NAMES = tuple(_BUILT_IN)
RANGE = "range"
"""The name of a trace that comes from a range query."""


def built_in(name: str) -> Trace:
    return _BUILT_IN[name]()


def traces(name: str, access: Access = OPEN) -> list[Trace]:
    """Of a name, of `all`, of a file, or of a server that lets us in so. Raises TraceError for anything else."""
    if name == "all":
        return [built_in(shape) for shape in JUDGED]
    if name in _BUILT_IN:
        return [built_in(name)]
    if name.startswith(("http://", "https://")):
        return [_checked(RANGE, read_rows(name, access))]
    return [_read_file(name)]


def _read_file(name: str) -> Trace:
    path = Path(name)
    if path.suffix != ".csv" and not path.exists():
        raise TraceError(
            f"there is no trace {name}",
            remedy=f"Name one of {', '.join(NAMES)}, the first five (all), a CSV file, or a range query.",
        )
    try:
        with path.open("rb") as stream:
            raw = stream.read(limits.TRACE_BYTES_MAX + 1)
    except OSError as error:
        raise TraceError(f"{name} cannot be read: {error.strerror or error}") from error
    if len(raw) > limits.TRACE_BYTES_MAX:
        raise TraceError(f"{name} is larger than {limits.TRACE_BYTES_MAX} bytes")
    try:
        return read_csv(path.name, raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise TraceError(f"{name} is not UTF-8 text: byte {error.start} is {raw[error.start]:#04x}") from error


def read_csv(name: str, text: str) -> Trace:
    """A trace from rows of `seconds,rate`, with or without a header. Raises TraceError that lists what is wrong."""
    wrong: list[str] = []
    rows: list[tuple[float, float]] = []
    for number, cells in enumerate(csv.reader(io.StringIO(text)), start=1):
        if not cells or (number == 1 and _is_header(cells)):
            continue
        problem = _problem(cells, rows[-1][0] if rows else None)
        if problem:
            wrong.append(f"{name}, line {number}: {problem}")
        else:
            rows.append((float(cells[0]), float(cells[1])))
    if not wrong and len(rows) < 2:
        wrong.append(f"{name} has {len(rows)} rows of seconds,rate, and a trace has two or more")
    if wrong:
        shown = wrong[: limits.FINDINGS_ALIKE_MAX]
        more = len(wrong) - len(shown)
        raise TraceError("\n".join((*shown, f"... and {more} more lines") if more else shown))
    return _checked(name, rows)


def _checked(name: str, rows: Sequence[tuple[float, float]]) -> Trace:
    """Two rows or more, in the order of time."""
    lasts_s = rows[-1][0] - rows[0][0]
    if lasts_s > limits.TRACE_S_MAX:
        raise TraceError(f"{name} lasts {lasts_s:.0f} s, and a trace at most {limits.TRACE_S_MAX}")
    if any(not 0 <= rate <= limits.TRACE_RATE_MAX for _, rate in rows):
        raise TraceError(f"{name} has a rate that is not between 0 and {limits.TRACE_RATE_MAX:g} messages/s")
    return from_rows(name, rows)


def from_rows(name: str, rows: Sequence[tuple[float, float]]) -> Trace:
    """Each rate holds until the next row, the last as long as the one before it. Seconds count from the first row.

    A second that lies in several rows has their mean, weighted by time.
    """
    begin = rows[0][0]
    ends = [later[0] - begin for later in rows[1:]]
    ends.append(2 * ends[-1] - (ends[-2] if len(ends) > 1 else 0.0))
    starts = [0.0, *ends[:-1]]
    rates = [0.0] * max(1, math.ceil(ends[-1] - 1e-9))
    for (_, rate), start, end in zip(rows, starts, ends, strict=True):
        for second in range(int(start), min(len(rates), math.ceil(end))):
            rates[second] += rate * (min(end, second + 1) - max(start, second))
    last = ends[-1] - (len(rates) - 1)
    rates[-1] /= min(1.0, last)
    return Trace(name, tuple(rates))


def _is_header(cells: Sequence[str]) -> bool:
    return not any(_number(cell) is not None for cell in cells)


def _problem(cells: Sequence[str], previous: float | None) -> str:
    if len(cells) != 2:
        return f"{len(cells)} values, and not the two of seconds,rate"
    seconds, rate = _number(cells[0]), _number(cells[1])
    if seconds is None or rate is None:
        bad = cells[0] if seconds is None else cells[1]
        return f"{bad.strip()[:40]!r} is not a finite number"
    if rate < 0:
        return f"a rate of {rate:g}: it cannot be negative"
    if rate > limits.TRACE_RATE_MAX:
        return f"a rate of {rate:g}: at most {limits.TRACE_RATE_MAX:g} messages/s can be simulated"
    if previous is not None and seconds <= previous:
        return f"the time {seconds:g} does not come after {previous:g}"
    return ""


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
