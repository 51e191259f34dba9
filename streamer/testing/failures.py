"""Failures on demand: which handler calls of a played pipeline raise, and which take their instance with them.

A test that waits for a failure to happen by chance proves nothing on the day when none does. So failures are asked for
by node and by number of the call, counted over all instances and lives of the node, and one that did not come to pass
is an error itself: a test must not believe that it has survived a kill which never struck.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streamer.descriptor.finding import suggestion
from streamer.errors import HarnessError
from streamer.plan.assignment import Role
from streamer.plan.compile import Plan
from streamer.testing.life import Life

_HANDLERS = (Role.STATELESS, Role.STATEFUL)


class DemandedError(RuntimeError):
    """What a handler raises because a test wants it to."""


@dataclass(frozen=True, slots=True)
class Failure:
    """So many messages of `node`, behind the first `after`, meet with it; `deadly`: its instance is killed."""

    node: str
    times: int
    after: int
    deadly: bool

    def __str__(self) -> str:
        behind = f", after={self.after}" if self.after else ""
        return f"{'kill' if self.deadly else 'fail'}({self.node!r}, {self.times}{behind})"


def fail(node: str, times: int = 1, *, after: int = 0) -> Failure:
    """The handler of `node` raises for the next `times` messages, once it was called for `after` of them."""
    return Failure(node, times, after, deadly=False)


def kill(node: str, times: int = 1, *, after: int = 0) -> Failure:
    """An instance of `node` dies, as by kill -9, with a message in hand; `times` and `after` as in `fail`.

    A source or a sink dies once it has had more than `after` messages.
    """
    return Failure(node, times, after, deadly=True)


class Demands:
    """The failures of one played job. Raises HarnessError for failures that cannot happen in `plan`."""

    def __init__(self, plan: Plan, failures: Sequence[Failure]) -> None:
        problems = [problem for failure in failures if (problem := _problem(plan, failure))]
        if problems:
            raise HarnessError("\n".join(problems), remedy="Ask for failures of nodes that handle messages.")
        self._failures = failures
        self._calls: Counter[str] = Counter()
        self._struck = [0] * len(failures)

    def handle(self, life: Life, messages: int) -> None:
        """A handler is about to be called for so many messages. Raises DemandedError, or ends the life."""
        node = life.assignment.node
        first = self._calls[node]
        self._calls[node] += messages
        for at, failure in enumerate(self._failures):
            hit = min(messages, first + messages - failure.after, failure.times - self._struck[at])
            if failure.node == node and hit > 0:
                self._struck[at] += hit
                if failure.deadly:
                    life.die()
                raise DemandedError(f"{failure}, as the test demands")

    def step(self, life: Life) -> None:
        """A source or a sink has made a step."""
        if life.assignment.role in _HANDLERS:
            return
        self._calls[life.assignment.node] = received = life.instance.account.received
        for at, failure in enumerate(self._failures):
            due = failure.node == life.assignment.node and received > failure.after
            if due and self._struck[at] < failure.times:
                self._struck[at] += 1
                life.kill_after(0)
                return

    def check(self) -> None:
        """Raises HarnessError if a failure has not struck as often as was asked for."""
        missing = [
            f"{failure} struck {struck} times; the node had {self._calls[failure.node]} messages"
            for failure, struck in zip(self._failures, self._struck, strict=True)
            if struck < failure.times
        ]
        if missing:
            raise HarnessError("\n".join(missing), remedy="Feed more messages, or ask for it earlier or less often.")


def _problem(plan: Plan, failure: Failure) -> str | None:
    if failure.node not in plan.nodes:
        return f"{failure}: {no_node(plan.nodes, failure.node)}"
    if failure.times < 1 or failure.after < 0:
        return f"{failure}: times begins at 1, and after at 0"
    role = plan.nodes[failure.node].role
    if not failure.deadly and role not in _HANDLERS:
        return f"{failure}: node {failure.node} is a {role.value}, which has no handler that could fail; kill it"
    return None


def no_node(nodes: Mapping[str, object], name: str) -> str:
    """That there is no such node, with the nearest names."""
    return f"the pipeline has no node {name!r}. {suggestion(name, nodes, what='nodes')}"
