"""The generator: message n is a function of n, and a rate is kept without bursts."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer import limits
from streamer.connectors.base import START, Mark
from streamer.connectors.generator import GeneratorSource


def opened(mark: Mark = START, **spec: object) -> GeneratorSource:
    return opened_from(spec, mark)


def opened_from(spec: Mapping[str, object], mark: Mark = START) -> GeneratorSource:
    source = GeneratorSource(spec)
    source.open(mark)
    return source


def wait_s(source: GeneratorSource, now: float) -> float:
    seconds = source.wait_s(now)
    assert seconds is not None
    return seconds


def values(source: GeneratorSource, limit: int = 512, now: float = 0.0) -> list[object]:
    records = source.read(limit, now)
    return [] if records is None else records.values


def drained(source: GeneratorSource, now: float) -> int:
    """How many messages are due at `now`."""
    count = 0
    while batch := values(source, now=now):
        count += len(batch)
    return count


@pytest.mark.parametrize(
    ("spec", "messages"),
    [
        pytest.param({}, [{"id": 0}, {"id": 1}], id="plain"),
        pytest.param({"size": 3}, [{"id": 0, "data": b"xxx"}, {"id": 1, "data": b"xxx"}], id="size"),
        pytest.param({"size": 0}, [{"id": 0, "data": b""}, {"id": 1, "data": b""}], id="size-of-nothing"),
        pytest.param({"value": "{n}"}, [0, 1], id="just-the-number"),
        pytest.param({"value": "host-{n}/{n}"}, ["host-0/0", "host-1/1"], id="number-in-a-text"),
        pytest.param({"value": "{n%1}"}, [0, 0], id="just-what-a-division-leaves"),
        pytest.param({"value": "{n%1}-{n}{n%2}."}, ["0-00.", "0-11."], id="divisions-in-a-text"),
        pytest.param({"value": "{n%0}{n%}"}, ["{n%0}{n%}"] * 2, id="no-divisor"),
        pytest.param(
            {"value": {"{n}": [{"id": "{n}"}, 7, "x{"]}},
            [{"{n}": [{"id": 0}, 7, "x{"]}, {"{n}": [{"id": 1}, 7, "x{"]}],
            id="nested-and-keys-stay",
        ),
        pytest.param({"value": 5}, [5, 5], id="constant"),
    ],
)
def test_the_spec_says_what_message_n_is(spec: dict[str, object], messages: list[object]) -> None:
    assert values(opened_from(spec), limit=2) == messages


def test_a_count_ends_it() -> None:
    source = opened(count=3)

    assert values(source) == [{"id": 0}, {"id": 1}, {"id": 2}]
    assert source.ended
    assert source.read(512, 0.0) is None


def test_a_count_of_zero_gives_nothing() -> None:
    assert opened(count=0).ended


def test_without_a_count_it_never_ends() -> None:
    source = opened(Mark(10**12, 0))

    assert values(source, limit=1) == [{"id": 10**12}]
    assert not source.ended


def test_it_goes_on_from_a_mark_with_the_same_messages() -> None:
    source = opened(count=10)
    values(source, limit=4)
    records = source.read(4, 0.0)
    assert records is not None
    assert source.replayable

    assert opened(records.mark, count=10).read(4, 0.0) == records


def test_large_messages_come_a_frame_at_a_time() -> None:
    assert len(values(opened(size=limits.FRAME_BYTES_MAX // 2 - 32))) == 2
    assert len(values(opened(size=10 * limits.FRAME_BYTES_MAX))) == 1


def test_a_rate_gives_the_first_message_at_once_and_the_next_when_it_is_due() -> None:
    source = opened(rate=10)

    assert values(source, now=100.0) == [{"id": 0}]
    assert values(source, now=100.0) == []
    assert wait_s(source, 100.0) == pytest.approx(0.1)
    assert values(source, now=100.0 + wait_s(source, 100.0)) == [{"id": 1}]


@given(st.floats(0.5, 1e6), st.integers(0, 10**9), st.floats(0, 1e9))
def test_whoever_waits_as_told_gets_a_message(rate: float, position: int, start: float) -> None:
    source = opened(Mark(position, position), rate=rate)
    now = start
    for _ in range(5):
        assert values(source, now=now)
        drained(source, now)
        now += wait_s(source, now)


@pytest.mark.parametrize("rate", [3, 100, 12_345.6, 1_000_000])
def test_a_rate_is_kept_over_time_however_often_it_is_asked(rate: float) -> None:
    source = opened(rate=rate)
    count = sum(drained(source, 50.0 + tick * 0.017) for tick in range(101))

    assert count == pytest.approx(1.7 * rate, abs=2)


def test_a_short_delay_is_made_up_for() -> None:
    source = opened(rate=1000)
    drained(source, 0.0)

    assert drained(source, 0.5) == 500


def test_a_long_stall_is_made_up_for_by_one_second_only() -> None:
    source = opened(rate=1000)
    drained(source, 0.0)

    assert drained(source, 60.0) == pytest.approx(1000, abs=1)
    assert drained(source, 60.5) == pytest.approx(500, abs=1)


def test_a_slow_rate_is_slower_than_the_stall_that_is_made_up_for() -> None:
    source = opened(rate=0.1)
    assert drained(source, 0.0) == 1

    assert drained(source, 9.9) == 0
    assert drained(source, 10.0) == 1
    assert drained(source, 100.0) == 1


def test_what_is_due_is_not_waited_for() -> None:
    source = opened(rate=1_000_000)
    values(source, now=0.0)
    values(source, now=0.5)

    assert wait_s(source, 0.5) == 0.0
    drained(source, 0.5)
    assert wait_s(source, 0.5) == limits.PACE_S


def test_a_restart_does_not_make_up_for_the_time_in_which_it_was_dead() -> None:
    source = opened(Mark(100, 100), rate=1000)

    assert values(source, now=500.0) == [{"id": 100}]


SPIKES = {"shape": "spikes", "base": 10, "peak": 1000, "every": 10, "seconds": 1}
QUIET = {"shape": "steps", "steps": [{"rate": 0, "seconds": 5}, {"rate": 10, "seconds": 5}, {"rate": 0, "seconds": 1}]}


def test_a_rate_may_change_with_time() -> None:
    source = opened(rate=SPIKES)

    by_second = [drained(source, 100.0 + second) for second in range(21)]

    assert by_second[:11] == [1, *[10] * 9, 1000]
    assert by_second[11:] == [*[10] * 9, 1000]


def test_a_quiet_time_is_waited_for_at_once() -> None:
    source = opened(rate=QUIET)

    assert drained(source, 0.0) == 0
    assert wait_s(source, 1.0) == pytest.approx(4.0)
    assert drained(source, 5.0) == 1


def test_a_rate_that_has_ended_for_ever_waits_for_nothing() -> None:
    source = opened(rate=QUIET)
    assert sum(drained(source, second) for second in range(11)) == 50

    assert source.wait_s(11.0) is None
    assert not source.ended


def test_a_restart_goes_on_in_the_program_where_it_had_come_to() -> None:
    source = opened(Mark(90, 90), rate=SPIKES)

    assert [drained(source, 500.0 + second) for second in range(3)] == [1, 1000, 10]


def test_what_a_stall_missed_is_left_out_and_the_program_goes_by_time() -> None:
    source = opened(rate=SPIKES)
    assert drained(source, 0.0) == 1

    assert drained(source, 15.0) == pytest.approx(10, abs=1)
    assert [drained(source, float(second)) for second in range(16, 21)] == [10, 10, 10, 10, 1000]
