"""The verdict, shown one harm at a time: each is counted where it belongs, and nowhere else."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest

from streamer.testing.verify.checker import Arrival, Evidence, Verdict, Ways, arrival, judge

RECORDS = [f"s#{n}" for n in range(10)]


def ways(*path: str, sink: str = "out") -> Ways:
    return {record: Counter({(sink, "/".join((record, *path))): 1}) for record in RECORDS}


def arrived(*path: str) -> list[Arrival]:
    return [Arrival("/".join((record, *path)), count=n) for n, record in enumerate(RECORDS, start=1)]


def evidence(arrivals: list[Arrival]) -> Evidence:
    """Of a chain over a, of which everything is demanded."""
    return Evidence(
        ways=[ways("a")],
        owed=frozenset(RECORDS),
        arrivals={"out": arrivals},
        ordered=("out",),
        edges={"s -> a": (0, True), "a -> out": (0, True)},
        counted=True,
    )


def verdict(of: Evidence, told: list[str] | None = None) -> Verdict:
    return judge(Verdict(7, "chain"), of, (told if told is not None else []).append)


def test_a_job_in_which_all_is_well_is_told_so() -> None:
    assert verdict(evidence(arrived("a"))) == Verdict(7, "chain")
    assert verdict(evidence(arrived("a"))).kept


def test_a_message_that_is_in_no_sink_is_lost_and_named() -> None:
    arrivals = arrived("a")
    del arrivals[3]
    told: list[str] = []

    found = verdict(replace(evidence(arrivals), counted=False), told)

    assert found == Verdict(7, "chain", lost=1)
    assert not found.kept
    assert "s#3/a" in told[0]


def test_a_message_that_nobody_owed_may_be_missing() -> None:
    arrivals = arrived("a")[:-1]

    assert verdict(replace(evidence(arrivals), owed=frozenset(RECORDS[:-1]))).kept


def test_a_message_that_came_twice_without_a_fault_is_unexplained() -> None:
    arrivals = arrived("a")
    arrivals.append(arrivals[3])

    assert verdict(evidence(arrivals)) == Verdict(7, "chain", duplicates=1, duplicates_unexplained=1)


def test_no_fault_explains_that_a_file_has_a_message_twice() -> None:
    arrivals = arrived("a")
    arrivals.append(arrivals[3])

    found = verdict(replace(evidence(arrivals), exposed=lambda record: record == "s#3"))

    assert found == Verdict(7, "chain", duplicates=1, duplicates_unexplained=1)


def test_a_message_that_its_client_sent_twice_may_come_twice_but_no_more() -> None:
    arrivals = arrived("a")
    again = replace(evidence([*arrivals, arrivals[3]]), sent={"s#3": 2})
    and_again = replace(again, arrivals={"out": [*arrivals, arrivals[3], arrivals[3]]})

    assert verdict(again) == Verdict(7, "chain", duplicates=1)
    assert verdict(and_again) == Verdict(7, "chain", duplicates=2, duplicates_unexplained=1)


def test_a_message_that_belongs_nowhere_is_one_too_many_whatever_has_happened() -> None:
    arrivals = [*arrived("a"), Arrival("s#3/b")]

    found = verdict(replace(evidence(arrivals), exposed=lambda _record: True, counted=False))

    assert found == Verdict(7, "chain", duplicates=1, duplicates_unexplained=1)


def test_each_record_goes_by_one_of_the_versions_of_the_flows() -> None:
    both = replace(evidence([*arrived("a")[:5], *arrived("b")[5:]]), ways=[ways("a"), ways("b")])

    assert verdict(both).kept


def test_a_record_that_went_half_of_one_way_and_half_of_another_is_lost_and_one_too_many() -> None:
    wide = {record: Counter({("out", f"{record}/a"): 1, ("out", f"{record}/b"): 1}) for record in RECORDS}
    narrow = {record: Counter({("out", f"{record}/c"): 1, ("out", f"{record}/d"): 1}) for record in RECORDS}
    arrivals = [*arrived("a"), *arrived("b")]
    arrivals[3] = Arrival("s#3/c", count=4)

    found = verdict(replace(evidence(arrivals), ways=[wide, narrow], counted=False))

    assert found == Verdict(7, "chain", lost=1, duplicates=1, duplicates_unexplained=1)


def test_two_messages_that_changed_places_are_one_violation_of_order() -> None:
    arrivals = arrived("a")
    arrivals[3], arrivals[4] = arrivals[4], arrivals[3]

    assert verdict(evidence(arrivals)) == Verdict(7, "chain", order_violations=1)


def test_order_is_not_asked_of_what_was_unsettled_at_a_fault_nor_of_repeats() -> None:
    arrivals = arrived("a")
    arrivals[3], arrivals[8] = arrivals[8], arrivals[3]
    arrivals.append(arrivals[0])
    exposed = frozenset({"s#3", "s#8"})

    found = verdict(replace(evidence(arrivals), exposed=lambda record: record in exposed, sent={"s#0": 2}))

    assert found == Verdict(7, "chain", duplicates=1)


def test_sources_have_no_order_between_them() -> None:
    of = evidence(arrived("a"))
    others = [Arrival(one.id.replace("s#", "t#")) for one in arrived("a")]
    both = ({**ways("a"), **{f"t#{n}": Counter({("out", f"t#{n}/a"): 1}) for n in range(10)}},)

    assert verdict(replace(of, ways=both, arrivals={"out": [*arrived("a"), *others]}, counted=False)).kept


@pytest.mark.parametrize("edge", [pytest.param((1, True), id="in flight"), pytest.param((0, False), id="unbalanced")])
def test_an_edge_that_does_not_balance_or_holds_something_at_the_end_is_counted(edge: tuple[int, bool]) -> None:
    of = evidence(arrived("a"))

    assert verdict(replace(of, edges={**of.edges, "s -> a": edge})) == Verdict(7, "chain", unbalanced_edges=1)


@pytest.mark.parametrize(
    ("at", "count"), [pytest.param(9, 11, id="one left out"), pytest.param(3, 3, id="one given twice")]
)
def test_a_number_that_nobody_has_is_a_wrong_count(at: int, count: int) -> None:
    arrivals = arrived("a")
    arrivals[at] = replace(arrivals[at], count=count)

    assert verdict(evidence(arrivals)) == Verdict(7, "chain", wrong_counts=1)


def test_numbers_that_begin_at_0_are_a_wrong_count() -> None:
    arrivals = [replace(one, count=one.count - 1) for one in arrived("a")]

    assert verdict(evidence(arrivals)) == Verdict(7, "chain", wrong_counts=1)


@pytest.mark.parametrize("without", [pytest.param(1, id="one"), pytest.param(10, id="all")])
def test_a_message_without_a_number_is_a_wrong_count(without: int) -> None:
    arrivals = [*(arrival({"id": one.id}) for one in arrived("a")[:without]), *arrived("a")[without:]]

    assert verdict(evidence(arrivals)) == Verdict(7, "chain", wrong_counts=without)


def test_a_message_that_was_counted_twice_has_two_numbers_and_is_a_wrong_count() -> None:
    arrivals = arrived("a")
    again = replace(arrivals[9], count=11)

    found = verdict(replace(evidence([*arrivals, again]), exposed=lambda _record: True))

    assert found == Verdict(7, "chain", duplicates=1, duplicates_unexplained=1, wrong_counts=1)


def test_each_key_is_counted_by_itself() -> None:
    keyed = [replace(one, key=str(n % 2), count=1 + n // 2) for n, one in enumerate(arrived("a"))]
    wrong = [*keyed[:-1], replace(keyed[-1], count=6)]

    assert verdict(evidence(keyed)).kept
    assert verdict(evidence(wrong)).wrong_counts == 1


def test_the_messages_of_a_key_are_numbered_in_the_order_of_their_records_whatever_has_happened() -> None:
    keyed = [replace(one, key=str(n % 2), count=1 + n // 2) for n, one in enumerate(arrived("a"))]
    swapped = [replace(keyed[0], count=2), *keyed[1:2], replace(keyed[2], count=1), *keyed[3:]]
    of = replace(evidence(keyed), ordered=(), exposed=lambda _record: True, keys_ordered=True)

    assert verdict(replace(of, arrivals={"out": keyed[::-1]})).kept
    assert verdict(replace(of, arrivals={"out": swapped})) == Verdict(7, "chain", order_violations=1)


def test_counts_are_not_asked_for_where_they_cannot_be_exact() -> None:
    arrivals = [replace(one, count=1) for one in arrived("a")]

    assert verdict(replace(evidence(arrivals), counted=False)).kept


def test_verdicts_add_up_and_are_told_as_one_line() -> None:
    one = Verdict(7, "all", messages=10, faults={"cut": 1, "kill-sink": 2}, duplicates=1)
    other = Verdict(7, "all", messages=5, faults={"kill-sink": 1}, lost=2)

    total = one.plus(other)

    assert json.loads(total.to_json()) == {
        "seed": 7,
        "shape": "all",
        "messages": 15,
        "faults": {"cut": 1, "kill-sink": 3},
        "lost": 2,
        "duplicates": 1,
        "duplicates_unexplained": 0,
        "order_violations": 0,
        "unbalanced_edges": 0,
        "wrong_counts": 0,
    }
    assert list(json.loads(total.to_json()))[:4] == ["seed", "shape", "messages", "faults"]
