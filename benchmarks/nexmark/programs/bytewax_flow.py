"""The queries in Bytewax: a dataflow of one process with one worker.

The source and the sink are the simplest that it allows, without recovery: events in batches as the generator makes
them, and JSON lines in a file.
"""

from __future__ import annotations

import json
from bisect import insort
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow, Stream
from bytewax.inputs import DynamicSource, StatelessSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main

from benchmarks.nexmark.generator import Event
from benchmarks.nexmark.programs import course

Row = dict[str, Any]
_BUFFER_BYTES = 1 << 18
_HOUR_US = 3_600_000_000
_TOP = 10


class _Batches(StatelessSourcePartition[Event]):
    def __init__(self, batches: Iterator[list[Event]]) -> None:
        self._batches = batches

    def next_batch(self) -> list[Event]:
        return next(self._batches)


class Events(DynamicSource[Event]):
    def __init__(self, count: int) -> None:
        self._count = count

    def build(self, _step_id: str, _worker_index: int, _worker_count: int) -> _Batches:
        return _Batches(course.batches(self._count))


class _Lines(StatelessSinkPartition[str]):
    def __init__(self, path: Path) -> None:
        self._file = path.open("w", buffering=_BUFFER_BYTES)

    def write_batch(self, items: list[str]) -> None:
        self._file.write("\n".join(items) + "\n")

    def close(self) -> None:
        self._file.close()


class Lines(DynamicSink[str]):
    def __init__(self, path: Path) -> None:
        self._path = path

    def build(self, _step_id: str, _worker_index: int, _worker_count: int) -> _Lines:
        return _Lines(self._path)


def q0(event: Event) -> Row | None:
    return event if event["kind"] == "bid" else None


def q1(event: Event) -> Row | None:
    if event["kind"] != "bid":
        return None
    return {
        "auction": event["auction"],
        "bidder": event["bidder"],
        "price": 0.908 * event["price"],
        "time_us": event["time_us"],
        "extra": event["extra"],
    }


def q2(event: Event) -> Row | None:
    if event["kind"] != "bid" or event["auction"] % 123:
        return None
    return {"auction": event["auction"], "price": event["price"]}


def q14(event: Event) -> Row | None:
    if event["kind"] != "bid" or not 1_000_000 < 0.908 * event["price"] < 50_000_000:
        return None
    hour = event["time_us"] // _HOUR_US % 24
    return {
        "auction": event["auction"],
        "bidder": event["bidder"],
        "price": 0.908 * event["price"],
        "part": "dayTime" if 8 <= hour <= 18 else "nightTime" if hour <= 6 or hour >= 20 else "otherTime",
        "time_us": event["time_us"],
        "extra": event["extra"],
        "letters_c": event["extra"].count("c"),
    }


def _side(event: Event) -> tuple[str, Row] | None:
    if event["kind"] == "person" and event["state"] in ("OR", "ID", "CA"):
        return str(event["person"]), {name: event[name] for name in ("name", "city", "state")}
    if event["kind"] == "auction" and event["category"] == 10:
        return str(event["seller"]), {"auction": event["auction"]}
    return None


def _join(state: tuple[Row, list[Row]] | None, side: Row) -> tuple[tuple[Row, list[Row]], list[Row]]:
    place, waiting = state or ({}, [])
    if "auction" not in side:
        return (side, []), [{**side, **auction} for auction in waiting]
    if place:
        return (place, waiting), [{**place, **side}]
    return (place, [*waiting, side]), []


def _last(last_us: int | None, bid: Event) -> tuple[int, list[Row]]:
    if last_us is not None and bid["time_us"] <= last_us:
        return last_us, []
    return bid["time_us"], [bid]


def _top(top: list[tuple[int, int]] | None, bid: Event) -> tuple[list[tuple[int, int]], list[Row]]:
    top = top or []
    rank = -bid["price"], bid["time_us"]
    if len(top) == _TOP and rank > top[-1]:
        return top, []
    insort(top, rank)
    gone_us = top.pop()[1] if len(top) > _TOP else None
    return top, [{**bid, "gone_us": gone_us}]


def _by_bidder_and_auction(event: Event) -> tuple[str, Event] | None:
    return (f"{event['bidder']} {event['auction']}", event) if event["kind"] == "bid" else None


def _by_auction(event: Event) -> tuple[str, Event] | None:
    return (str(event["auction"]), event) if event["kind"] == "bid" else None


Keyed = tuple[Callable[[Event], tuple[str, Any] | None], Callable[[Any, Any], tuple[Any, list[Row]]]]
STATELESS: dict[str, Callable[[Event], Row | None]] = {"q0": q0, "q1": q1, "q2": q2, "q14": q14}
STATEFUL: dict[str, Keyed] = {"q3": (_side, _join), "q18": (_by_bidder_and_auction, _last), "q19": (_by_auction, _top)}


def _results(query: str, events: Stream[Event]) -> Stream[Row]:
    if query in STATELESS:
        return op.filter_map("query", events, STATELESS[query])
    key, handle = STATEFUL[query]
    rows = op.stateful_flat_map("query", op.filter_map("keyed", events, key), handle)
    return op.map("values", rows, lambda row: row[1])


def main(query: str, count: int, path: Path) -> None:
    encode = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode
    flow = Dataflow(query)
    results = _results(query, op.input("events", flow, Events(count)))
    op.output("lines", op.map("encode", results, encode), Lines(path))
    run_main(flow)
    course.end()


if __name__ == "__main__":
    main(*course.arguments())
