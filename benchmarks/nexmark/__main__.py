"""Nexmark through the engine, beside a plain Python loop and other engines: what it costs, and whether it is right.

A round takes every query through all of them, one after the other, so that what happens to the machine happens to all;
a figure is the median of the rounds. What the loop gives is what all must give, and the pipelines give it once more
while their instances are killed. A difference is told, and makes the command fail. With `--kill` nothing is measured,
so the page is left alone; a file named by `--json` says of each query whether its results were right.

    python -m benchmarks.nexmark [--events N] [--rounds 1] [--only q3] [--kill] [--peers FOLDER] [--json FILE]
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import record
from benchmarks.command import chosen, parser_of, publish
from benchmarks.nexmark import connector
from benchmarks.nexmark.passes import Judge, Pass, figures_of, figures_of_kills, table
from benchmarks.nexmark.peers import ENVIRONMENT, Peer, engines, installed
from benchmarks.nexmark.pipelines import QUERIES, Query
from streamer.cli.output import tell

NAME = "nexmark"


def compared(judge: Judge, queries: Sequence[Query], others: Sequence[Peer], rounds: int) -> list[Pass]:
    """All passes of all rounds, and then those under kills."""
    passes: list[Pass] = []
    for _ in range(rounds):
        for query in queries:
            passes += judge.through_loop(query), judge.through_engine(query)
            passes += [judge.through_peer(query, peer) for peer in others]
    return passes + [judge.through_killed_engine(query) for query in queries]


def killed(judge: Judge, queries: Sequence[Query]) -> list[Pass]:
    """One pass of the loop, and one under kills."""
    return [take(query) for query in queries for take in (judge.through_loop, judge.through_killed_engine)]


def present(environment: Path) -> tuple[Sequence[Peer], Mapping[str, str]]:
    """The other engines that are installed, and their versions; the others are told."""
    known = engines(environment)
    versions = installed(known)
    for peer in known:
        if peer.package not in versions:
            tell(f"{peer.name} is not installed in {environment}, so it has no figures")
    return [peer for peer in known if peer.package in versions], versions


def verdict(passes: Sequence[Pass]) -> int:
    """The exit code: 1 if the results of any pass were wrong, which is told once more at the end."""
    wrong = [one for one in passes if one.wrong]
    for one in wrong:
        tell(f"{one.query}, {one.by}: {one.wrong}")
    return 1 if wrong else 0


def main(arguments: Sequence[str]) -> int:
    parser = parser_of(NAME, "Queries over an auction, beside other engines.")
    parser.add_argument("--events", type=int, default=50_000, metavar="N", help="how many events each query gets")
    parser.add_argument("--rounds", type=int, default=1, help="measurements of each query by each engine")
    parser.add_argument("--kill", action="store_true", help="kill every instance and compare; no figures are taken")
    parser.add_argument("--peers", type=Path, default=ENVIRONMENT, metavar="FOLDER", help="where other engines are")
    options = parser.parse_args(arguments)
    queries = chosen(parser, QUERIES, options.only)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        connector.install(folder)
        judge = Judge(options.events, folder)
        if options.kill:
            passes = killed(judge, queries)
            if options.json:
                record.write(record.document(NAME, arguments, figures_of_kills(passes, options.events)), options.json)
        else:
            others, versions = present(options.peers)
            passes = compared(judge, queries, others, options.rounds)
            figures = figures_of(passes, options.events)
            publish(NAME, arguments, figures, table(figures), options.json, versions)
    return verdict(passes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
