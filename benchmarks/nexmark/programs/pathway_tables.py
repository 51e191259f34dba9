"""The queries in Pathway: tables of one process with one thread of work.

Its results are changes of a table, each with a time and a sign; they are summed up to the table at the end, as all
programs' results are lines of the table or of its changes by ours. That is done when the time has been taken.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pathway as pw

from benchmarks.nexmark.programs import course

_COMMIT_MS = 100
_HOUR_US = 3_600_000_000
_TOP = 10


class Event(pw.Schema):
    """The fields of all three kinds of events."""

    kind: str
    time_us: int
    extra: str
    auction: int = pw.column_definition(default_value=0)
    bidder: int = pw.column_definition(default_value=0)
    price: int = pw.column_definition(default_value=0)
    channel: str = pw.column_definition(default_value="")
    url: str = pw.column_definition(default_value="")
    person: int = pw.column_definition(default_value=0)
    name: str = pw.column_definition(default_value="")
    email: str = pw.column_definition(default_value="")
    card: str = pw.column_definition(default_value="")
    city: str = pw.column_definition(default_value="")
    state: str = pw.column_definition(default_value="")
    item: str = pw.column_definition(default_value="")
    description: str = pw.column_definition(default_value="")
    initial_bid: int = pw.column_definition(default_value=0)
    reserve: int = pw.column_definition(default_value=0)
    expires_us: int = pw.column_definition(default_value=0)
    seller: int = pw.column_definition(default_value=0)
    category: int = pw.column_definition(default_value=0)


_BID = ("kind", "auction", "bidder", "price", "channel", "url", "time_us", "extra")


class Events(pw.io.python.ConnectorSubject):
    """The source: rows one by one, as its interface has it."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count

    def run(self) -> None:
        for batch in course.batches(self._count):
            for event in batch:
                self.next(**event)


def _columns(table: Any, *names: str) -> list[Any]:
    return [table[name] for name in names]


def q0(_events: Any, bids: Any) -> Any:
    return bids


def q1(_events: Any, bids: Any) -> Any:
    return bids.select(*_columns(bids, "auction", "bidder", "time_us", "extra"), price=0.908 * bids.price)


def q2(_events: Any, bids: Any) -> Any:
    return bids.filter(bids.auction % 123 == 0).select(pw.this.auction, pw.this.price)


def q3(events: Any, _bids: Any) -> Any:
    states = (events.state == "OR") | (events.state == "ID") | (events.state == "CA")
    persons = events.filter((events.kind == "person") & states)
    auctions = events.filter((events.kind == "auction") & (events.category == 10))
    joined = auctions.join(persons, auctions.seller == persons.person)
    return joined.select(persons.name, persons.city, persons.state, auctions.auction)


def q14(_events: Any, bids: Any) -> Any:
    priced = bids.select(
        *_columns(bids, "auction", "bidder", "time_us", "extra"),
        price=0.908 * bids.price,
        hour=bids.time_us // _HOUR_US % 24,
    )
    found = priced.filter((priced.price > 1_000_000) & (priced.price < 50_000_000))
    other = pw.if_else((found.hour <= 6) | (found.hour >= 20), "nightTime", "otherTime")
    return found.select(
        *_columns(found, "auction", "bidder", "time_us", "extra", "price"),
        part=pw.if_else((found.hour >= 8) & (found.hour <= 18), "dayTime", other),
        letters_c=pw.apply_with_type(lambda text: text.count("c"), int, found.extra),
    )


def q18(_events: Any, bids: Any) -> Any:
    return bids.deduplicate(
        value=bids.time_us, instance=(bids.bidder, bids.auction), acceptor=lambda new, last: new > last
    ).select(*_columns(pw.this, *_BID))


class _Top(pw.BaseCustomAccumulator):
    """The highest bids of an auction, as texts behind what they are ordered by."""

    def __init__(self, ranked: list[tuple[int, int, str]]) -> None:
        self.ranked = ranked

    @classmethod
    def from_row(cls, row: list[Any]) -> _Top:
        price, time_us, bid = row
        return cls([(-price, time_us, bid)])

    def update(self, other: _Top) -> None:
        self.ranked = sorted([*self.ranked, *other.ranked])[:_TOP]

    def compute_result(self) -> tuple[str, ...]:
        return tuple(bid for _, _, bid in self.ranked)


def _encoded(*values: Any) -> str:
    return json.dumps(dict(zip(_BID, values, strict=True)))


_top = pw.reducers.udf_reducer(_Top)


def q19(_events: Any, bids: Any) -> Any:
    encoded = bids.select(
        *_columns(bids, "auction", "price", "time_us"),
        bid=pw.apply_with_type(
            lambda *values: json.dumps(dict(zip(_BID, values, strict=True))), str, *_columns(bids, *_BID)
        ),
    )
    tops = encoded.groupby(encoded.auction).reduce(top=_top(encoded.price, encoded.time_us, encoded.bid))
    return tops.flatten(tops.top)


QUERIES = {"q0": q0, "q1": q1, "q2": q2, "q3": q3, "q14": q14, "q18": q18, "q19": q19}


def _sum_up(changes: Path, path: Path) -> None:
    """Write what is left of the changes: each row as often as it was added more than taken away."""
    rows: Counter[str] = Counter()
    with changes.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            diff = row.pop("diff")
            del row["time"]
            rows[row["top"] if "top" in row else json.dumps(row)] += diff
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{row}\n" for row in rows.elements())


def main(query: str, count: int, path: Path) -> None:
    events = pw.io.python.read(Events(count), schema=Event, autocommit_duration_ms=_COMMIT_MS)
    bids = events.filter(events.kind == "bid").select(*_columns(pw.this, *_BID))
    changes = path.with_suffix(".changes")
    pw.io.jsonlines.write(QUERIES[query](events, bids), changes)
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)
    course.end()
    _sum_up(changes, path)


if __name__ == "__main__":
    main(*course.arguments())
