"""One pass of all events through a query by somebody: its cost, and whether its results are the right ones.

The first pass of the plain loop says what is right. A pass that fails does not end the command: it is told like one
whose results differ, and the others are still taken.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import page
from benchmarks.nexmark import peers, pipelines
from benchmarks.nexmark.peers import LOOP, Peer
from benchmarks.nexmark.pipelines import Query
from benchmarks.nexmark.results import Results, difference, read
from benchmarks.processes import Passage
from benchmarks.scenario.side import BenchmarkError
from streamer.cli.output import tell

OURS = "streamer"
KILLED = "streamer, killed"
_RESULTS = "results.jsonl"


@dataclass(frozen=True, slots=True)
class Pass:
    """`wrong` tells how its results differ, or why there are none; empty if they are right. `results` are counted."""

    query: str
    by: str
    passage: Passage | None
    results: int
    wrong: str


class Judge:
    """Takes passes of `count` events, each in a folder of its own below `folder`."""

    def __init__(self, count: int, folder: Path) -> None:
        self._count = count
        self._folder = folder
        self._right: dict[str, Results] = {}

    def through_loop(self, query: Query) -> Pass:
        """To be taken before all others of the query: it says what is right. Raises BenchmarkError if it fails."""
        with self._room(query) as folder:
            out = folder / _RESULTS
            passage = peers.passed(LOOP, query.name, self._count, out)
            found = read(query.name, out)
        self._right.setdefault(query.name, found)
        return self._judged(query, LOOP.name, passage, found)

    def through_peer(self, query: Query, peer: Peer) -> Pass:
        return self._taken(query, peer.name, lambda _folder, out: peers.passed(peer, query.name, self._count, out))

    def through_engine(self, query: Query) -> Pass:
        return self._taken(query, OURS, partial(pipelines.passed, query, self._count))

    def through_killed_engine(self, query: Query) -> Pass:
        return self._taken(query, KILLED, partial(pipelines.killed, query, self._count))

    def _taken(self, query: Query, by: str, go: Callable[[Path, Path], Passage]) -> Pass:
        with self._room(query) as folder:
            try:
                passage = go(folder, folder / _RESULTS)
            except BenchmarkError as error:
                tell(f"{query.name}, {by}: {error}")
                return Pass(query.name, by, None, 0, str(error))
            return self._judged(query, by, passage, read(query.name, folder / _RESULTS))

    def _judged(self, query: Query, by: str, passage: Passage, found: Results) -> Pass:
        wrong = difference(found, self._right[query.name])
        tell(f"{query.name}, {by}: {self._count / passage.elapsed_s:,.0f} events/s, {wrong or 'results are right'}")
        return Pass(query.name, by, passage, sum(found.values()), wrong)

    @contextmanager
    def _room(self, query: Query) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix=f"{query.name}-", dir=self._folder) as name:
            yield Path(name)


def figures_of(passes: Sequence[Pass], count: int) -> list[dict[str, Any]]:
    """What the record says of each query and who passed it, in the order of their first passes.

    A pass under kills has no figures of its own: it says of the engine's whether its results were right then too.
    """
    found: dict[tuple[str, str], list[Pass]] = {}
    for one in passes:
        found.setdefault((one.query, one.by), []).append(one)
    return [
        _figure(taken, found.get((query, KILLED), []) if by == OURS else [], count)
        for (query, by), taken in found.items()
        if by != KILLED
    ]


def _figure(taken: Sequence[Pass], killed: Sequence[Pass], count: int) -> dict[str, Any]:
    first = taken[0]
    figure: dict[str, Any] = {
        "query": first.query,
        "by": first.by,
        "events": count,
        "results": first.results,
        "equal": not any(one.wrong for one in taken),
        "killed_equal": not any(one.wrong for one in killed) if killed else None,
    }
    passages = [one.passage for one in taken if one.passage is not None]
    if not passages:
        return figure
    elapsed_s = statistics.median(passage.elapsed_s for passage in passages)
    cpu_s = statistics.median(passage.cpu_s for passage in passages)
    return {
        **figure,
        "events_per_s": round(count / elapsed_s),
        "cores": round(cpu_s / elapsed_s, 2),
        "events_per_s_per_core": round(count / cpu_s),
        "cores_time_s": round(cpu_s, 2),
        "elsewhere_cores_max": round(max(passage.elsewhere_cores for passage in passages), 2),
    }


def figures_of_kills(passes: Sequence[Pass], count: int) -> list[dict[str, Any]]:
    """What the record says of passes under kills alone: how many results there were, and whether they were right."""
    return [
        {"query": one.query, "by": one.by, "events": count, "results": one.results, "killed_equal": not one.wrong}
        for one in passes
        if one.by == KILLED
    ]


def table(figures: Sequence[Mapping[str, Any]]) -> str:
    columns = ("events/s", "cores", "events/s per core", "Cores × Time, s", "results", "killed", "others")
    return page.table(("query", "by"), columns, [_row(figure) for figure in figures])


def _row(f: Mapping[str, Any]) -> Sequence[str]:
    equal = f"{f['results']:,} equal" if f["equal"] else "**different**"
    killed = {None: "", True: "equal", False: "**different**"}[f["killed_equal"]]
    if "events_per_s" not in f:
        return (f["query"], f["by"], "", "", "", "", "**failed**", killed, "")
    return (
        f["query"],
        f["by"],
        f"{f['events_per_s']:,}",
        f"{f['cores']:.2f}",
        f"**{f['events_per_s_per_core']:,}**",
        f"{f['cores_time_s']:.2f}",
        equal,
        killed,
        f"{f['elsewhere_cores_max']:.2f}",
    )
