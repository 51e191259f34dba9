"""Nexmark is what it is known to be, and its pipelines give what a plain loop gives, whatever is killed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from benchmarks.command import chosen, parser_of
from benchmarks.nexmark import pipelines
from benchmarks.nexmark.__main__ import verdict
from benchmarks.nexmark.connector import NexmarkSource
from benchmarks.nexmark.gate import Gate
from benchmarks.nexmark.generator import (
    AUCTION_BYTES,
    BID_BYTES,
    EPOCH,
    FIRST_ID,
    GROUP,
    HOT_CHANNELS,
    PERSON_BYTES,
    STATES,
    Event,
    event,
    last_auction,
    last_person,
    shuffled,
    stream,
)
from benchmarks.nexmark.passes import KILLED, OURS, Pass, figures_of, table
from benchmarks.nexmark.peers import ENVIRONMENT, LOOP, Peer, engines, installed
from benchmarks.nexmark.peers import passed as passed_by_peer
from benchmarks.nexmark.pipelines import Query
from benchmarks.nexmark.programs import loop
from benchmarks.nexmark.results import difference, read, results_of
from benchmarks.nexmark.stateless import q14
from benchmarks.processes import FamilyMeter, Passage
from benchmarks.scenario.engine import plan_of, source
from benchmarks.scenario.side import BenchmarkError
from streamer.connectors.plugin import Mark
from streamer.testing import kill, run
from tests.benchmarks.test_peers import needs_peers
from tests.house.source import ROOT

_FIRST, _END = 20_000, 40_000
_NUMBERS = range(_FIRST, _END)


@pytest.fixture(scope="module")
def events() -> dict[str, dict[int, Event]]:
    """By kind and number."""
    found: dict[str, dict[int, Event]] = {"person": {}, "auction": {}, "bid": {}}
    for k in _NUMBERS:
        made = event(k)
        found[made["kind"]][k] = made
    return found


def _share(of: list[bool]) -> float:
    return sum(of) / len(of)


# -- the events ------------------------------------------------------------------------------------------------------


def test_of_fifty_events_one_is_a_person_three_are_auctions_and_the_others_bids() -> None:
    kinds = [event(k)["kind"] for k in range(EPOCH, 3 * EPOCH)]

    assert kinds == 2 * ["person", *3 * ["auction"], *46 * ["bid"]]


def test_persons_and_auctions_are_numbered_without_a_gap(events: dict[str, dict[int, Event]]) -> None:
    persons = [made["person"] for made in events["person"].values()]
    auctions = [made["auction"] for made in events["auction"].values()]

    assert persons == list(range(FIRST_ID + _FIRST // EPOCH, FIRST_ID + _END // EPOCH))
    assert auctions == list(range(FIRST_ID + 3 * _FIRST // EPOCH, FIRST_ID + 3 * _END // EPOCH))


@pytest.mark.parametrize(
    ("k", "person", "auction"),
    [
        pytest.param(0, 0, -1, id="the first person comes before all auctions"),
        pytest.param(1, 0, 0, id="the first auction"),
        pytest.param(3, 0, 2, id="the last auction of an epoch"),
        pytest.param(49, 0, 2, id="the last bid of an epoch"),
        pytest.param(50, 1, 2, id="a person, with the auctions of the epoch before"),
        pytest.param(51, 1, 3, id="the first auction of the next epoch"),
    ],
)
def test_the_last_ids_follow_from_the_number_of_an_event(k: int, person: int, auction: int) -> None:
    assert (last_person(k), last_auction(k)) == (person, auction)


def test_half_of_the_bids_are_for_the_hot_auction_and_others_for_one_in_flight(
    events: dict[str, dict[int, Event]],
) -> None:
    hot, ahead = [], []
    for k, bid in events["bid"].items():
        number = bid["auction"] - FIRST_ID
        hot.append(number == last_auction(k) // 100 * 100)
        ahead.append(number - last_auction(k))

    assert _share(hot) == pytest.approx(1 / 2, abs=0.02)
    assert min(ahead) == -100
    assert max(ahead) == 10


def test_three_of_four_bidders_and_sellers_are_the_hot_one(events: dict[str, dict[int, Event]]) -> None:
    bidders = [bid["bidder"] - FIRST_ID == last_person(k) // 100 * 100 + 1 for k, bid in events["bid"].items()]
    sellers = [made["seller"] - FIRST_ID == last_person(k) // 100 * 100 for k, made in events["auction"].items()]

    assert _share(bidders) == pytest.approx(3 / 4, abs=0.02)
    assert _share(sellers) == pytest.approx(3 / 4, abs=0.03)


def test_prices_are_even_over_six_powers_of_ten(events: dict[str, dict[int, Event]]) -> None:
    digits = Counter(len(str(bid["price"])) for bid in events["bid"].values())

    assert set(digits) == {3, 4, 5, 6, 7, 8}
    assert all(count == pytest.approx(len(events["bid"]) / 6, rel=0.1) for count in digits.values())


def test_half_of_the_bids_come_by_four_channels_and_most_other_urls_name_theirs(
    events: dict[str, dict[int, Event]],
) -> None:
    bids = list(events["bid"].values())
    cold = [bid for bid in bids if bid["channel"] not in HOT_CHANNELS]
    urls: dict[str, set[str]] = {}
    for bid in bids:
        urls.setdefault(bid["channel"], set()).add(bid["url"])

    assert len(cold) / len(bids) == pytest.approx(1 / 2, abs=0.02)
    assert _share(["channel_id=" in bid["url"] for bid in cold]) == pytest.approx(0.9, abs=0.02)
    assert all(len(found) == 1 for found in urls.values())


def test_events_have_their_sizes_in_the_mean(events: dict[str, dict[int, Event]]) -> None:
    for kind, size in (("person", PERSON_BYTES), ("auction", AUCTION_BYTES), ("bid", BID_BYTES)):
        sizes = [
            sum(len(value) if isinstance(value, str) else 8 for name, value in made.items() if name not in unsized)
            for unsized in [{"kind", "channel", "url"}]
            for made in events[kind].values()
        ]
        assert sum(sizes) / len(sizes) == pytest.approx(size, rel=0.05)


def test_auctions_last_for_a_hundred_auctions_in_the_mean(events: dict[str, dict[int, Event]]) -> None:
    spans_us = [made["expires_us"] - made["time_us"] for made in events["auction"].values()]

    assert sum(spans_us) / len(spans_us) == pytest.approx(100 * 50 / 3 * 100, rel=0.05)
    assert {made["state"] for made in events["person"].values()} == set(STATES)
    assert {made["category"] for made in events["auction"].values()} == {10, 11, 12, 13, 14}


def test_an_event_is_the_same_wherever_and_whenever_it_is_made() -> None:
    assert event(12_345) == event(12_345)
    assert stream(range(100, 200)) == stream(range(300))[100:200]
    assert sha256(json.dumps(stream(range(1000))).encode()).hexdigest().startswith("b3a0ad720d479b36")


def test_events_come_out_of_order_within_their_group() -> None:
    numbers = list(map(shuffled, range(3 * GROUP)))

    assert sorted(numbers) == list(range(3 * GROUP))
    assert numbers != sorted(numbers)
    assert all(number // GROUP == position // GROUP for position, number in enumerate(numbers))


# -- the source ------------------------------------------------------------------------------------------------------


def test_the_source_gives_what_the_gate_lets_pass_and_the_same_again_from_a_mark(tmp_path: Path) -> None:
    gate = Gate(tmp_path / "gate")
    made = NexmarkSource({"count": 700, "gate": str(tmp_path / "gate")}, tmp_path)
    made.open(Mark(0, 0))

    assert made.read(1000, 0.0) is None
    assert made.wait_s(0.0)
    gate.open(600)
    first, second = made.read(1000, 0.0), made.read(1000, 0.0)
    assert first is not None
    assert second is not None
    assert [*first.positions, *second.positions] == list(range(600))
    assert not made.ended

    made.open(second.mark)
    gate.open(1000)
    again = made.read(1000, 0.0)
    assert again is not None
    assert list(again.positions) == list(range(second.mark.position, 700))
    assert again.values == stream(again.positions)
    assert made.ended


# -- the queries -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", pipelines.QUERIES, ids=lambda query: query.name)
def test_a_pipeline_gives_what_the_loop_gives(query: Query, tmp_path: Path) -> None:
    """Also when what holds no state dies; nodes with state are killed in a job of processes, below."""
    given = stream(range(2500))
    sink = {"nodeName": "results", "kind": "sink", "spec": {"connector": "blackhole"}}
    plan = plan_of([{**source(1), "nodeName": "events"}, *query.nodes, sink], tmp_path, algorithms=pipelines.ALGORITHMS)
    deaths = [kill(node["nodeName"], after=10) for node in query.nodes if node["stateType"] == "stateless"]

    found = run(plan, {"events": given}, failures=deaths)["results"]

    expected = results_of(query.name, loop.QUERIES[query.name](given))
    assert expected
    assert difference(results_of(query.name, found), expected) == ""


def test_a_seller_who_comes_after_an_auction_is_joined_to_it() -> None:
    auction = {"kind": "auction", "auction": 1, "seller": 7, "category": 10}
    person = {"kind": "person", "person": 7, "name": "a", "city": "b", "state": "OR"}
    row = {"name": "a", "city": "b", "state": "OR", "auction": 1}

    assert list(loop.q3([auction, person])) == [row]
    assert list(loop.q3([person, auction, {**auction, "category": 11}])) == [row]
    assert list(loop.q3([{**person, "state": "AZ"}, auction])) == []


@pytest.mark.parametrize(
    ("hour", "part"),
    [
        pytest.param(0, "nightTime", id="midnight"),
        pytest.param(6, "nightTime", id="the last hour of the night"),
        pytest.param(7, "otherTime", id="morning"),
        pytest.param(8, "dayTime", id="the first hour of the day"),
        pytest.param(18, "dayTime", id="the last hour of the day"),
        pytest.param(19, "otherTime", id="evening"),
        pytest.param(20, "nightTime", id="the first hour of the night"),
    ],
)
def test_a_bid_has_the_part_of_its_day(hour: int, part: str) -> None:
    time_us = 3_600_000_000 * (24 * 10_000 + hour)
    bid = {"kind": "bid", "auction": 1, "bidder": 2, "price": 10_000_000, "time_us": time_us, "extra": "cace"}

    (row,) = loop.q14([bid])

    assert row == q14.start({"streamInput": {"message": bid}}, None)
    assert (row["part"], row["letters_c"]) == (part, 2)
    assert not list(loop.q14([{**bid, "price": 1_000_000}]))


# -- the comparison --------------------------------------------------------------------------------------------------


def _bid(price: int, time_us: int, **others: Any) -> dict[str, Any]:
    return {"kind": "bid", "auction": 1, "bidder": 2, "price": price, "time_us": time_us, **others}


def test_a_difference_is_told_with_what_is_missing_and_what_is_too_much() -> None:
    found, expected = results_of("q2", [{"a": 1}, {"a": 1}]), results_of("q2", [{"a": 1}, {"a": 2}])

    assert difference(found, expected) == '1 missing, such as {"a": 2} - and 1 too much, such as {"a": 1}'
    assert difference(expected, expected) == ""


def test_the_last_bid_is_the_latest_in_whatever_order_the_updates_stand() -> None:
    first, second = _bid(5, 1), _bid(3, 2)

    assert results_of("q18", [first, second]) == results_of("q18", [second, first]) == results_of("q18", [second])
    assert results_of("q18", [second, second]) != results_of("q18", [second])


def test_ten_bids_of_an_auction_stay_in_whatever_order_they_came() -> None:
    bids = [_bid(price, time_us) for time_us, price in enumerate([5, 9, 1, 7, 7, 7, 7, 3, 8, 2, 7, 6, 7, 4])]

    there = results_of("q19", loop.q19(bids))
    back = results_of("q19", loop.q19(reversed(bids)))

    assert there == back
    assert sorted(json.loads(line)["price"] for line in there) == [5, 6, 7, 7, 7, 7, 7, 7, 8, 9]


# -- the command -----------------------------------------------------------------------------------------------------


def _pass(by: str, elapsed_s: float, wrong: str = "") -> Pass:
    return Pass("q1", by, Passage(elapsed_s, 2 * elapsed_s, 0.1), 10, wrong)


def test_a_figure_is_the_median_of_its_passes_and_says_what_became_of_the_kills() -> None:
    passes = [_pass(OURS, 1.0), _pass(OURS, 4.0), _pass(OURS, 2.0), _pass(KILLED, 9.0), _pass("loop", 1.0)]

    ours, other = figures_of(passes, 1000)

    assert (ours["events_per_s"], ours["cores"], ours["events_per_s_per_core"]) == (500, 2.0, 250)
    assert (ours["cores_time_s"], ours["equal"], ours["killed_equal"]) == (4.0, True, True)
    assert (other["by"], other["killed_equal"]) == ("loop", None)
    assert "| q1 | streamer | 500 | 2.00 | **250** | 4.00 | 10 equal | equal | 0.10 |" in table([ours, other])
    assert verdict(passes) == 0


def test_wrong_results_make_the_command_fail_and_stand_in_its_table(capsys: pytest.CaptureFixture[str]) -> None:
    passes = [
        _pass(OURS, 1.0),
        _pass(KILLED, 1.0, wrong="3 missing"),
        replace(_pass("Bytewax", 1.0, "x"), passage=None),
    ]

    told = table(figures_of(passes, 1000))

    assert verdict(passes) == 1
    assert "q1, streamer, killed: 3 missing" in capsys.readouterr().err
    assert "| 10 equal | **different** |" in told
    assert "| q1 | Bytewax |  |  |  |  | **failed** |" in told


def test_a_program_that_fails_is_told_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"loop ended with code 1 at q99: .*KeyError: 'q99'"):
        passed_by_peer(LOOP, "q99", 10, tmp_path / "out")


def test_an_engine_that_is_not_installed_has_no_version(tmp_path: Path) -> None:
    absent = Peer("Bytewax", "bytewax_flow", tmp_path / "python", package="bytewax")
    elsewhere = Peer("Nothing", "nothing", Path(sys.executable), package="no-such-package")

    assert installed((absent, elsewhere)) == {}


def test_a_query_can_be_chosen_by_its_whole_name() -> None:
    parser = parser_of("nexmark", "")

    assert [query.name for query in chosen(parser, pipelines.QUERIES, "q1")] == ["q1"]
    assert [query.name for query in chosen(parser, pipelines.QUERIES, "1")] == ["q1", "q14", "q18", "q19"]


def test_children_that_have_ended_are_measured_too() -> None:
    meter = FamilyMeter()
    subprocess.run([sys.executable, "-c", "sum(range(1_000_000))"], check=True)

    assert meter.read().cpu_s >= 0.01


def _command(*options: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, as it declares its connector to all that it starts."""
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.nexmark", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_command_compares_and_measures(tmp_path: Path) -> None:
    out = tmp_path / "out.json"

    done = _command("--events=3000", "--rounds=1", "--only=q0", f"--peers={tmp_path}", f"--json={out}")

    assert done.returncode == 0, done.stderr
    assert f"Bytewax is not installed in {tmp_path}" in done.stderr
    figures = json.loads(out.read_text())["figures"]
    assert [(figure["query"], figure["by"]) for figure in figures] == [("q0", "loop"), ("q0", "streamer")]
    assert all(figure["equal"] and figure["results"] == 2760 and figure["events_per_s"] > 0 for figure in figures)
    assert figures[1]["killed_equal"]


def test_the_command_kills_every_instance_of_a_stateful_query(tmp_path: Path) -> None:
    out = tmp_path / "out.json"

    done = _command("--events=3000", "--kill", "--only=q3", f"--json={out}")

    assert done.returncode == 0, done.stderr
    assert "q3, streamer, killed:" in done.stderr
    (figure,) = json.loads(out.read_text())["figures"]
    assert (figure["query"], figure["by"], figure["events"], figure["killed_equal"]) == ("q3", KILLED, 3000, True)
    assert figure["results"] > 0


BYTEWAX, PATHWAY = engines(ENVIRONMENT)
_SLOW_TO_START = {"q2", "q3", "q19"}
"""Pathway takes seconds for its imports: a filter, a join and a top ten stand for all of its queries."""


@needs_peers
@pytest.mark.parametrize(
    ("peer", "query"),
    [
        pytest.param(peer, query, id=f"{peer.name}, {query.name}")
        for peer in (BYTEWAX, PATHWAY)
        for query in pipelines.QUERIES
        if peer is BYTEWAX or query.name in _SLOW_TO_START
    ],
)
def test_a_program_of_another_engine_gives_what_the_loop_gives(peer: Peer, query: Query, tmp_path: Path) -> None:
    if not installed((peer,)):
        pytest.skip(f"{peer.package} is not installed: make peers")
    out = tmp_path / "out.jsonl"

    passed_by_peer(peer, query.name, 2500, out)

    expected = results_of(query.name, loop.QUERIES[query.name](stream(range(2500))))
    assert expected
    assert difference(read(query.name, out), expected) == ""
