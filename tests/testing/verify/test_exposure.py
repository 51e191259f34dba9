"""What was unsettled at a fault, and what was not: nothing else excuses that it was overtaken."""

from __future__ import annotations

from streamer.protocol.settlement import RangeSet
from streamer.testing.verify.exposure import Exposure, Progress


def progress(end: int, *settled: RangeSet) -> dict[str, Progress]:
    return {"s": Progress(settled, end)}


def exposed(exposure: Exposure, up_to: int) -> list[int]:
    return [n for n in range(up_to) if exposure.covers("s", n)]


def test_what_was_settled_on_every_edge_before_a_fault_was_not_exposed_to_it() -> None:
    exposure = Exposure()

    window = exposure.open(0.0, progress(10, RangeSet(8), RangeSet(5, [6, 8])))
    exposure.close(window, 1.0, progress(10, RangeSet(10), RangeSet(10)))

    assert exposed(exposure, 20) == [5, 8, 9]


def test_what_was_read_while_a_fault_was_felt_was_exposed_and_what_came_later_was_not() -> None:
    exposure = Exposure()

    window = exposure.open(0.0, progress(10, RangeSet(10)))
    exposure.close(window, 1.0, progress(13, RangeSet(11)))

    assert exposed(exposure, 20) == [10, 11, 12]


def test_a_fault_that_is_felt_to_the_end_exposes_all_that_was_read_since() -> None:
    exposure = Exposure()
    exposure.open(0.0, progress(10, RangeSet(10)))

    exposure.finish()

    assert exposed(exposure, 14) == [10, 11, 12, 13]


def test_a_source_that_had_read_nothing_at_a_fault_has_all_exposed_that_it_reads_while_it_is_felt() -> None:
    exposure = Exposure()

    window = exposure.open(0.0, {})
    exposure.close(window, 1.0, progress(3, RangeSet(0)))

    assert exposed(exposure, 5) == [0, 1, 2]


def test_without_positions_the_times_tell_what_was_under_way_at_a_fault() -> None:
    exposure = Exposure()
    exposure.close(exposure.open(5.0, {}), 6.0, {})

    assert not exposure.overlaps(1.0, 4.9)
    assert exposure.overlaps(1.0, 5.1)
    assert exposure.overlaps(5.9, 9.0)
    assert not exposure.overlaps(6.1, 9.0)
