"""The verdict on one job: what must be in its sinks, against what is there, and its account.

It is pure: evidence in, counts out, so that each kind of harm can be shown to it, one message at a time. Every record
that a source has read goes by one version of the flows, and the checker walks each version by itself
(`streamer.testing.outcome`); so what it demands is one of a few sets of leaves, whole. Anything else in a sink is a
message too many.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from streamer.testing.keyed import record_of

Leaf = tuple[str, str]
"""Sink, and the id of a message in it."""
Ways = Mapping[str, Counter[Leaf]]
"""The leaves of each record, by one version of the flows."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message in a sink. `count` is the number that a counting node gave it, for its `key`.

    It is 0, which no node may give, if there is none.
    """

    id: str
    count: int = 0
    key: str = ""

    @property
    def record(self) -> str:
        """The record that it came from, as `s#12`."""
        return self.id.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a job that has ended.

    `ways` are all that its flows ever allowed; any two of them have the same leaves of a record or none in common, else
    a loss by one could look like the whole of another. `owed` are the records that must have arrived, `arrivals` by
    sink in their order. `exposed` tells whether a record was unsettled at a fault, `sent` how often a client sent one
    (once, if it is absent): with nothing else can it be there more than once, since a file takes each message once.
    `ordered` are sinks that must get the records of each source in order. `edges` are the accounts of edges (in flight,
    balanced) by name. `counted`: every message in a sink has the number of a counting node, and these must be exact;
    `keys_ordered`: and follow, for each key and source, the order of the records, whatever was done to the job.
    """

    ways: Sequence[Ways]
    owed: Collection[str]
    arrivals: Mapping[str, Sequence[Arrival]]
    exposed: Callable[[str], bool] = lambda _record: False
    sent: Mapping[str, int] = field(default_factory=dict)
    ordered: Collection[str] = ()
    edges: Mapping[str, tuple[int, bool]] = field(default_factory=dict)
    counted: bool = False
    keys_ordered: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """The line with which the verifier ends, field by field: a contract with scripts."""

    seed: int
    shape: str
    messages: int = 0
    faults: Mapping[str, int] = field(default_factory=dict)
    lost: int = 0
    duplicates: int = 0
    duplicates_unexplained: int = 0
    order_violations: int = 0
    unbalanced_edges: int = 0
    wrong_counts: int = 0

    @property
    def kept(self) -> bool:
        """Whether every promise was."""
        harm = (self.lost, self.duplicates_unexplained, self.order_violations, self.unbalanced_edges, self.wrong_counts)
        return not any(harm)

    def plus(self, other: Verdict) -> Verdict:
        """The sum of two jobs, under the name of this one."""
        sums = {name: getattr(self, name) + getattr(other, name) for name in _SUMMED}
        return replace(self, faults=dict(Counter(self.faults) + Counter(other.faults)), **sums)

    def to_json(self) -> str:
        return json.dumps(asdict(self))


_SUMMED = (
    "messages",
    "lost",
    "duplicates",
    "duplicates_unexplained",
    "order_violations",
    "unbalanced_edges",
    "wrong_counts",
)


def judge(verdict: Verdict, evidence: Evidence, tell: Callable[[str], None]) -> Verdict:
    """`verdict` with what the evidence shows; `tell` is given the names of what is wrong."""
    copies = Counter((sink, one.id) for sink, arrivals in evidence.arrivals.items() for one in arrivals)
    way = _ways_taken(evidence, copies)
    lost = [leaf for record in evidence.owed for leaf in way[record] if leaf not in copies]
    doubled, unexplained = _duplicates(evidence, copies, way)
    disorder = [*_disorder(evidence), *(_disorder_of_keys(evidence) if evidence.keys_ordered else ())]
    unbalanced = [name for name, (in_flight, balanced) in evidence.edges.items() if in_flight or not balanced]
    wrong = list(_wrong_counts(evidence)) if evidence.counted else []
    _tell(tell, "lost", lost)
    _tell(tell, "twice without a cause, or where it does not belong", unexplained)
    _tell(tell, "out of order", disorder)
    _tell(tell, "not balanced, or in flight at the end", unbalanced)
    _tell(tell, "wrongly counted", wrong)
    return replace(
        verdict,
        lost=len(lost),
        duplicates=doubled,
        duplicates_unexplained=sum(unexplained.values()),
        order_violations=len(disorder),
        unbalanced_edges=len(unbalanced),
        wrong_counts=len(wrong),
    )


def _ways_taken(evidence: Evidence, copies: Counter[Leaf]) -> Mapping[str, Counter[Leaf]]:
    """The leaves of each record by the version of the flows that fits best what arrived of it.

    What is left of a record tells its version, since no other one has that leaf. Of a record of which nothing is left
    the fewest leaves are demanded.
    """
    got: dict[str, set[Leaf]] = {}
    for sink, message in copies:
        got.setdefault(message.partition("/")[0], set()).add((sink, message))
    records = {*evidence.owed, *got}

    def misfit(record: str, ways: Ways) -> int:
        return len(ways.get(record, Counter()).keys() ^ got.get(record, set()))

    return {
        record: min(evidence.ways, key=lambda ways: misfit(record, ways)).get(record, Counter()) for record in records
    }


def _duplicates(
    evidence: Evidence, copies: Counter[Leaf], way: Mapping[str, Counter[Leaf]]
) -> tuple[int, Counter[Leaf]]:
    """How many messages too many there are, and those of them that have no explanation."""
    doubled = 0
    unexplained: Counter[Leaf] = Counter()
    for leaf, count in copies.items():
        record = leaf[1].partition("/")[0]
        wanted = way[record][leaf]
        doubled += count - wanted
        allowed = wanted * evidence.sent.get(record, 1)
        if count > allowed:
            unexplained[leaf] = count - allowed
    return doubled, unexplained


def _disorder(evidence: Evidence) -> Iterable[str]:
    """Messages that came for the first time behind a later one of the same source and way, neither being exposed."""
    for sink in evidence.ordered:
        last: dict[tuple[str, str], int] = {}
        seen: set[str] = set()
        for arrival in evidence.arrivals.get(sink, ()):
            record = arrival.record
            if arrival.id in seen or evidence.exposed(record):
                continue
            seen.add(arrival.id)
            way, number = (record.partition("#")[0], arrival.id.partition("/")[2]), record_of(record)
            if number < last.get(way, -1):
                yield f"{arrival.id} in {sink}"
            else:
                last[way] = number


def _disorder_of_keys(evidence: Evidence) -> Iterable[str]:
    """Messages that were numbered behind a later one of the same source and key."""
    last: dict[tuple[str, str], int] = {}
    arrived = {one.id: one for arrivals in evidence.arrivals.values() for one in arrivals}
    for one in sorted(arrived.values(), key=lambda one: one.count):
        run, number = (one.record.partition("#")[0], one.key), record_of(one.record)
        if number < last.get(run, -1):
            yield f"{one.id} of key {one.key}"
        else:
            last[run] = number


def _wrong_counts(evidence: Evidence) -> Iterable[str]:
    """A counting node numbers the messages of each key from 1 on: one number each, and no number left out or twice.

    A message without a number is one of them, too: it leaves a number to nobody.
    """
    numbers: dict[str, dict[str, set[int]]] = {}
    for arrivals in evidence.arrivals.values():
        for one in arrivals:
            numbers.setdefault(one.key, {}).setdefault(one.id, set()).add(one.count)
    for key, of_key in numbers.items():
        holders = Counter(count for counts in of_key.values() for count in counts)
        for message, counts in of_key.items():
            if len(counts) > 1:
                yield f"{message} has the numbers {sorted(counts)}"
        for number in range(1, len(of_key) + 1):
            if not holders[number]:
                yield f"nobody of {key or 'all'} has the number {number}"


_SHOWN = 5


def _tell(tell: Callable[[str], None], what: str, found: Collection[Any]) -> None:
    if found:
        some = ", ".join(str(one) for one in list(found)[:_SHOWN])
        tell(f"{what}: {len(found)}: {some}{', ...' if len(found) > _SHOWN else ''}")


def arrival(message: Mapping[str, Any]) -> Arrival:
    """A line of a sink."""
    return Arrival(str(message["id"]), int(message.get("count", 0)), str(message.get("key", "")))
