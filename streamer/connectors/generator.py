"""A source that makes its messages: for demos, tests and measurements.

Message n depends on n alone, so the position is the mark, and a restart gives the same messages again. A rate is kept
against the clock of the caller: the count due grows from the first read on, so that many short delays do not slow it
down, and a stall is made up for by one second's worth at most: a pipeline that stood for a minute does not get a
minute's messages at once. A rate that changes with time (`rates`) goes on after a restart where it had come to.

Fields: `count` (without it, it never ends), `rate` (messages a second, or a mapping with `shape`; without it, as fast
as it goes), and one of
`size: N` for `{"id": n, "data": <N bytes>}` or `value`, a template; with neither it is `{"id": n}`. In the strings of a
template, at any depth, `{n}` stands for the number of the message, from 0, and `{n%5}` for what a division by 5 leaves
of it; a string that is just that becomes the integer itself: `{"id": "{n}", "name": "host-{n%5}"}` gives
`{"id": 7, "name": "host-2"}`. Keys are not replaced.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from streamer import limits
from streamer.connectors.base import Mark, Records
from streamer.connectors.rates import Program, program_of

_PLACEHOLDER = re.compile(r"\{n(?:%([1-9][0-9]*))?\}")
_ENVELOPE_BYTES = 32
"""What a message takes beside its data: a batch that does not fit one frame would be cut, each time."""
_ROUNDING_S = 1e-6
"""A message is given so much early, or the rounding of times would put off the one for which the caller waited."""

Make = Callable[[range], list[object]]
"""Makes the messages of these numbers."""


class GeneratorSource:
    """Messages by number."""

    replayable = True
    partition = "generator"

    def __init__(self, spec: Mapping[str, Any]) -> None:
        count, rate = spec.get("count"), spec.get("rate")
        self._count: int | None = None if count is None else int(count)
        self._pace = None if rate is None else _Pace(program_of(rate))
        size = int(spec.get("size") or 0)
        self._batch_max = (
            max(1, limits.FRAME_BYTES_MAX // (size + _ENVELOPE_BYTES)) if size else limits.FRAME_MESSAGES_MAX
        )
        self._make = _maker(spec)
        self._next = 0

    @property
    def ended(self) -> bool:
        return self._count is not None and self._next >= self._count

    def open(self, mark: Mark) -> None:
        self._next = mark.position
        if self._pace is not None:
            self._pace.begin(mark.position)

    def read(self, limit: int, now: float) -> Records | None:
        first = self._next
        end = first + min(limit, self._batch_max)
        if self._pace is not None:
            end = min(end, self._pace.due(first, now))
        if self._count is not None:
            end = min(end, self._count)
        if end <= first:
            return None
        self._next = end
        numbers = range(first, end)
        return Records(Mark(first, first), numbers, self._make(numbers))

    def wait_s(self, now: float) -> float | None:
        return 0.0 if self._pace is None else self._pace.wait_s(self._next, now)

    def fileno(self) -> int | None:
        return None

    def close(self) -> None:
        """Nothing is held."""


class _Pace:
    """When each message is due, by the program of its rate.

    Message n is due when more than n messages are, counted from `_base` at `_place` in the program. What a long stall
    has missed is left out: the program goes by time, and does not wait for a pipeline that cannot follow.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self.begin(0)

    def begin(self, position: int) -> None:
        """Time starts at the next `due`, where the program has come to with this message."""
        self._base = position
        self._place_s = self._program.place(position) if position else 0.0
        self._counted = self._program.count(self._place_s)
        self._start_s: float | None = None

    def due(self, position: int, now: float) -> int:
        """The first number that is not due yet, `position` being the first that was not given yet."""
        if self._start_s is None:
            self._start_s = now - self._place_s
        caught_up_s = now - self._start_s - limits.CATCH_UP_S
        if caught_up_s > self._place_s:
            # A count that is larger by what was left out: as if fewer had been due.
            self._counted = max(self._counted, self._program.count(caught_up_s) - (position - self._base))
        due = self._program.count(now - self._start_s + _ROUNDING_S) - self._counted
        return self._base + max(0, math.ceil(due))

    def wait_s(self, position: int, now: float) -> float | None:
        """None: no further message is ever due."""
        if self._start_s is None:
            return 0.0
        moment_s = self._program.when(self._counted + position - self._base)
        if moment_s == math.inf:
            return None
        due_s = self._start_s + moment_s - now
        return max(limits.PACE_S, due_s) if due_s > 0 else 0.0


def _maker(spec: Mapping[str, Any]) -> Make:
    if spec.get("size") is not None:
        data = b"x" * int(spec["size"])
        return lambda numbers: [{"id": n, "data": data} for n in numbers]
    if spec.get("value") is not None:
        template = _template(spec["value"])
        return lambda numbers: [template(n) for n in numbers]
    return lambda numbers: [{"id": n} for n in numbers]


def _template(value: object) -> Callable[[int], object]:
    """What makes message n. Values without a placeholder are shared by all messages: nobody changes them."""
    if isinstance(value, str) and (only := _PLACEHOLDER.fullmatch(value)):
        return _number(only[1])
    if isinstance(value, str) and _PLACEHOLDER.search(value):
        return _text(value)
    if isinstance(value, Mapping):
        fields = [(key, _template(child)) for key, child in value.items()]
        return lambda n: {key: make(n) for key, make in fields}
    if isinstance(value, list | tuple):
        children = [_template(child) for child in value]
        return lambda n: [make(n) for make in children]
    return lambda _n: value


def _number(divisor: str | None) -> Callable[[int], int]:
    if divisor is None:
        return lambda n: n
    modulus = int(divisor)
    return lambda n: n % modulus


def _text(text: str) -> Callable[[int], str]:
    """The pieces of the text, and the divisors of the placeholders between them, by turns."""
    first, *others = _PLACEHOLDER.split(text)
    parts = [(_number(divisor), piece) for divisor, piece in zip(others[::2], others[1::2], strict=True)]
    return lambda n: first + "".join([f"{number(n)}{piece}" for number, piece in parts])
