"""Ten times too much for a minute, under each policy: does every instance stay within its limits, and add up?

What an edge does when it is full is the choice of the node behind it (`overload`), and each choice is tried for as long
as it takes to see a queue that grows slowly: the memory of every process is watched, and when the job has been drained
its account must say of every message what became of it, and drop by no other reason than the policy's. The last cases
have a slow branch beside a fast one, which waits for the slow one or not, again as the policy says. This is part of
`make soak-overload` and no benchmark: its figures are told, and not kept.

    python -m benchmarks.scenario.overload [--window 60] [--only TEXT]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import page, record
from benchmarks.command import chosen
from benchmarks.scenario.engine import EngineSide, algorithm, plan_of, source
from benchmarks.scenario.memory import limit_bytes, most_rss
from streamer.cli.output import say, tell
from streamer.control.jobs import EdgeAccount, JobAccount, JobStatus
from streamer.limits import MIB, QUEUE_BYTES_DEFAULT
from streamer.plan.compile import Plan

NAME = "scenario.overload"
OVERLOAD = 10
HANDLER_S = 0.001
PAYLOAD_BYTES = 8_000
"""A full queue of these is worked off well within the time of a drain."""
SHARE_MIN = 0.5
"""A fast branch that waits for nobody gets at least this share of what is offered; a busy machine takes the rest."""
_BLOCK = "block"
_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Case:
    """A source ten times too fast for the node `slow`, whose policy is tried; `branch`: with a fast one beside it."""

    policy: str
    branch: bool = False
    queue_bytes: int = QUEUE_BYTES_DEFAULT

    @property
    def name(self) -> str:
        queue = "" if self.queue_bytes == QUEUE_BYTES_DEFAULT else f", {self.queue_bytes // MIB} MiB"
        return f"{'slow beside fast' if self.branch else 'slow'}, {self.policy}{queue}"

    def plan(self, folder: Path) -> Plan:
        first = source(PAYLOAD_BYTES, rate=OVERLOAD / HANDLER_S)
        slow = {
            **algorithm("slow", "stateless", "slow", HANDLER_S),
            "overload": self.policy,
            "queueBytes": self.queue_bytes,
        }
        if not self.branch:
            return plan_of([first, slow], folder)
        nodes = [first, algorithm("relay", "stateless", "relay"), slow, algorithm("fast", "stateless", "slow", 0.0)]
        return plan_of(nodes, folder, "source >> relay >> slow & fast")


CASES = (
    *(Case(policy) for policy in (_BLOCK, "drop-oldest", "drop-newest", "error")),
    Case(_BLOCK, branch=True),
    Case("drop-oldest", branch=True),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case: the most memory of each instance beside what it may take, and the account."""

    case: Case
    rss_bytes_max: Mapping[str, int]
    limit_bytes: Mapping[str, int]
    account: JobAccount

    def problems(self) -> list[str]:
        return [f"{self.case.name}: {problem}" for problem in (*self._memory(), *self._account())]

    def _memory(self) -> list[str]:
        return [
            f"{node} took {most:,} bytes, over its limit of {self.limit_bytes[node]:,}"
            for node, most in self.rss_bytes_max.items()
            if most > self.limit_bytes[node]
        ]

    def _account(self) -> list[str]:
        account, found = self.account, []
        if account.status is not JobStatus.STOPPED or not account.balanced:
            found.append(f"the job ended badly: {account.to_json()}")
        if any(edge.in_flight or edge.dead_lettered or edge.abandoned for edge in account.edges):
            found.append(f"not everything was settled or dropped: {account.to_json()}")
        for edge in account.edges:
            expected = [self.case.policy] if edge.target == "slow" and self.case.policy != _BLOCK else []
            if [reason for reason, count in edge.dropped.items() if count] != expected:
                found.append(f"{edge.source} >> {edge.target} has dropped {dict(edge.dropped)}, not by {expected}")
        return [*found, *self._branches()]

    def _branches(self) -> list[str]:
        """Both get the same; with a policy that drops, the fast one is as fast as without the slow one."""
        if not self.case.branch or self.case.policy == _BLOCK:
            return []
        by_target = {edge.target: edge for edge in self.account.edges}
        fast, slow = by_target["fast"], by_target["slow"]
        offered = OVERLOAD * SHARE_MIN * slow.settled
        return [f"the fast branch got {fast.settled:,}, the slow one {slow.settled:,}"] * (fast.settled < offered)


def play(case: Case, window_s: float) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="overload-") as folder:
        plan = case.plan(Path(folder))
        with EngineSide(plan, Path(folder)) as side:
            most = most_rss(side, len(plan.nodes), window_s)
            account = side.end()
    return Outcome(case, most, {node: limit_bytes(plan, node) for node in plan.nodes}, account)


def memory_table(outcomes: Sequence[Outcome]) -> str:
    rows = [
        (one.case.name, node, f"{one.rss_bytes_max[node] / _MB:.0f}", f"{limit / _MB:.0f}")
        for one in outcomes
        for node, limit in one.limit_bytes.items()
    ]
    return page.table(("case", "node"), ("RSS at most, MB", "limit, MB"), rows)


def account_table(outcomes: Sequence[Outcome]) -> str:
    rows = [(one.case.name, *_edge_row(edge)) for one in outcomes for edge in one.account.edges]
    return page.table(("case", "edge"), ("sent", "settled", "dropped", "in flight"), rows)


def _edge_row(edge: EdgeAccount) -> Sequence[Any]:
    counts = edge.sent, edge.settled, sum(edge.dropped.values()), edge.in_flight
    return (f"{edge.source} >> {edge.target}", *(f"{count:,}" for count in counts))


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{NAME}", description="Overload under each policy.")
    parser.add_argument("--window", type=float, default=60.0, metavar="SECONDS", help="how long each overload lasts")
    parser.add_argument("--only", default="", metavar="TEXT", help="only cases whose names hold this text")
    options = parser.parse_args(arguments)
    outcomes = []
    for case in chosen(parser, CASES, options.only):
        tell(case.name)
        outcomes.append(play(case, options.window))
    provenance = page.provenance(record.document(NAME, arguments, []))
    say(f"{memory_table(outcomes)}\n\n{account_table(outcomes)}\n\n{provenance}")
    problems = [problem for one in outcomes for problem in one.problems()]
    for problem in problems:
        tell(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
