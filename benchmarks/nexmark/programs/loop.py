"""The queries in a plain Python loop: what they are to give, and what they cost without any engine.

Each query is a function from events to results, in the fewest lines that do it. It shares none with the algorithms of
the pipelines, so that a mistake in one of the two shows as a difference.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

from benchmarks.nexmark.generator import Event
from benchmarks.nexmark.programs import course

Row = Mapping[str, Any]
Query = Callable[[Iterable[Event]], Iterator[Row]]

_BUFFER_BYTES = 1 << 18


def _bids(events: Iterable[Event]) -> Iterator[Event]:
    return (event for event in events if event["kind"] == "bid")


def q0(events: Iterable[Event]) -> Iterator[Row]:
    return _bids(events)


def q1(events: Iterable[Event]) -> Iterator[Row]:
    for bid in _bids(events):
        row = {name: bid[name] for name in ("auction", "bidder", "time_us", "extra")}
        yield {**row, "price": 0.908 * bid["price"]}


def q2(events: Iterable[Event]) -> Iterator[Row]:
    for bid in _bids(events):
        if bid["auction"] % 123 == 0:
            yield {"auction": bid["auction"], "price": bid["price"]}


def q3(events: Iterable[Event]) -> Iterator[Row]:
    persons: dict[int, Row] = {}
    auctions: defaultdict[int, list[int]] = defaultdict(list)
    for event in events:
        found: list[int] = []
        if event["kind"] == "person" and event["state"] in ("OR", "ID", "CA"):
            seller = event["person"]
            persons[seller] = event
            found = auctions[seller]
        elif event["kind"] == "auction" and event["category"] == 10:
            seller = event["seller"]
            auctions[seller].append(event["auction"])
            found = [event["auction"]] if seller in persons else []
        for auction in found:
            yield {**{name: persons[seller][name] for name in ("name", "city", "state")}, "auction": auction}


def q14(events: Iterable[Event]) -> Iterator[Row]:
    for bid in _bids(events):
        price = 0.908 * bid["price"]
        if 1_000_000 < price < 50_000_000:
            hour = datetime.fromtimestamp(bid["time_us"] // 1_000_000, UTC).hour
            part = "dayTime" if 8 <= hour <= 18 else "nightTime" if hour <= 6 or hour >= 20 else "otherTime"
            row = {name: bid[name] for name in ("auction", "bidder", "time_us", "extra")}
            yield {**row, "price": price, "part": part, "letters_c": bid["extra"].count("c")}


def q18(events: Iterable[Event]) -> Iterator[Row]:
    last: dict[tuple[int, int], int] = {}
    for bid in _bids(events):
        key = (bid["bidder"], bid["auction"])
        if key not in last or last[key] < bid["time_us"]:
            last[key] = bid["time_us"]
            yield bid


def q19(events: Iterable[Event]) -> Iterator[Row]:
    tops: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for bid in _bids(events):
        ranks = sorted([*tops[bid["auction"]], (-bid["price"], bid["time_us"])])
        tops[bid["auction"]] = ranks[:10]
        gone_us = ranks[10][1] if len(ranks) > 10 else None
        if gone_us != bid["time_us"]:
            yield {**bid, "gone_us": gone_us}


QUERIES: Mapping[str, Query] = {"q0": q0, "q1": q1, "q2": q2, "q3": q3, "q14": q14, "q18": q18, "q19": q19}


def main(query: str, count: int, path: Path) -> None:
    encode = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode
    with path.open("w", buffering=_BUFFER_BYTES) as file:
        for row in QUERIES[query](chain.from_iterable(course.batches(count))):
            file.write(encode(row) + "\n")
    course.end()


if __name__ == "__main__":
    main(*course.arguments())
