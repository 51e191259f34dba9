"""What a job must have done, worked out by walking the flows by hand, and compared with what it did.

The walk knows nothing of frames, sessions or time: it takes each record from node to node by the table of routes and
what each handler says about it. So it is right for every schedule and every fault, and a job that did anything else,
be it one message more or less, has broken a promise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from streamer.errors import FlowError
from streamer.limits import CRASH_ATTEMPTS_MAX
from streamer.plan.assignment import Delivery, Overload, Role
from streamer.plan.compile import Plan
from streamer.runtime.exits import Exits
from streamer.testing.disk import Unreadable
from streamer.testing.promises import PromiseError
from streamer.testing.world import World

Sends = Sequence[tuple[str | None, str]]
"""What a handler sends for one message: flow name or None, and the message."""
Behave = Callable[[str], Sends]
"""What an algorithm does with a message. Raises RefusalError."""


class RefusalError(ValueError):
    """A handler gives up a message, after it has sent these."""

    def __init__(self, sends: Sends = ()) -> None:
        super().__init__("refused")
        self.sends = sends


@dataclass(frozen=True, slots=True)
class Cast:
    """Who plays what: `starts` are the messages that a stateful node sends from `start`, `farewells` from `stop`.

    `poison`: messages (node, message) that take their instance with them.
    """

    records: Mapping[str, Sequence[object]]
    starts: Mapping[str, Sequence[str]]
    farewells: Mapping[str, str]
    behaviours: Mapping[str, Behave]
    poison: frozenset[tuple[str, str]] = frozenset()


@dataclass(slots=True)
class Outcome:
    """`leaves` by (sink, message), `letters` by (reason, node, message), `sent` by (source node, target node).

    `handled` are the messages that algorithms get, as (node, message).
    """

    leaves: Counter[tuple[str, str]] = field(default_factory=Counter)
    letters: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    sent: Counter[tuple[str, str]] = field(default_factory=Counter)
    handled: list[tuple[str, str]] = field(default_factory=list)


Ways = Mapping[str, Plan]
"""By record, the plan with the version of the flows that it took."""


def expected(plan: Plan, cast: Cast, ways: Ways = MappingProxyType({})) -> Outcome:
    """What must come of this cast, whatever happens on the way. `plan` is for what is not in `ways`."""
    walk = _Walk(plan, cast, Outcome())
    walks = {id(way): _Walk(way, cast, walk.outcome) for way in ways.values()}
    for node, records in cast.records.items():
        for record in records:
            if isinstance(record, Unreadable):
                walk.outcome.letters["unreadable record", node, record.text] += 1
                continue
            way = walks[id(ways[str(record)])] if str(record) in ways else walk
            if (route := way.exits[node].of_source()) is not None:
                way.onwards(node, route, str(record), 0)
    for way in walks.values():
        way.finish()
    for node, messages in cast.starts.items():
        for message in messages:
            walk.onwards(node, walk.exits[node].unnamed(None), message, 0)
    for node, message in cast.farewells.items():
        walk.onwards(node, walk.exits[node].unnamed(None), message, 0)
    walk.finish()
    return walk.outcome


class _Walk:
    """Through the flows of one version."""

    def __init__(self, plan: Plan, cast: Cast, outcome: Outcome) -> None:
        self.exits = {name: Exits(name, plan.wiring(name, 1, plan.current.number)) for name in plan.nodes}
        self.outcome = outcome
        self._plan = plan
        self._places = dict(plan.routes.numbered())
        self._cast = cast
        self._outputs = {(n.name, o.target): o for n in plan.nodes.values() for o in n.outputs}
        self._open: list[tuple[int, str, int]] = []

    def onwards(self, node: str, route: int, message: str, hops: int) -> None:
        """The message leaves `node` at this position."""
        for following in self._places[route].next:
            target = self._places[following].node
            output = self._outputs[node, target]
            self.outcome.sent[node, target] += 1
            if output.inside and hops + 1 > output.hop_limit:
                self.outcome.letters["hop limit", target, message] += 1
            else:
                self._open.append((following, message, hops + output.inside))

    def finish(self) -> None:
        while self._open:
            self._arrive(*self._open.pop())

    def _arrive(self, route: int, message: str, hops: int) -> None:
        node = self._places[route].node
        if self._plan.nodes[node].role is Role.SINK:
            self.outcome.leaves[node, message] += 1
            return
        self.outcome.handled.append((node, message))
        if (node, message) in self._cast.poison:
            self.outcome.letters["crash", node, message] += 1
            return
        exits = self.exits[node]
        try:
            sends = [
                (route if flow is None else exits.named(flow, route), sent)
                for flow, sent in self._cast.behaviours[node](message)
            ]
        except (RefusalError, FlowError):
            self.outcome.letters["handler", node, message] += 1
            return
        for leaves_at, sent in sends:
            if exits.continues(leaves_at):
                self.onwards(node, leaves_at, sent, hops)


def judge(world: World, cast: Cast, *, calm: bool, drained: bool) -> None:
    """Compare a job that has ended with what it had to do. Raises PromiseError.

    One that was killed at the deadline of its drain may have messages in flight, and counts them.

    `calm`: nothing was done to it (what it drops by its own policies is harm too). `drained`: it was asked to end, so
    only what its sources say is settled is owed.
    """
    plan = world.scene.plan
    ways = {record: world.plans[version] for record, version in world.watch.taken.items()}
    wanted = expected(plan, cast, ways)
    calm = calm and not any(edge.dropped for edge in world.account().edges)
    owed = expected(plan, _settled_part(world, cast, ways), ways) if drained else wanted
    _account_is_closed(world, wanted, calm=calm)
    _sources_are_counted(world, cast, ways, drained=drained)
    unlucky = _letters_are_right(world, wanted, owed)
    _leaves_are_right(world, wanted, owed, unlucky, calm=calm)


def _settled_part(world: World, cast: Cast, ways: Ways) -> Cast:
    """What its sources say is settled on all edges that it had to take."""
    records = {}
    for node, values in cast.records.items():
        edges = world.disks[f"{node}-0"].account().edges
        records[node] = [
            value
            for at, value in enumerate(values)
            if all(at in edge.roots for edge in edges if edge.target in _targets(world, ways, node, value))
        ]
    return replace(cast, records=records, starts={})


def _targets(world: World, ways: Ways, node: str, record: object) -> Collection[str]:
    """Where a record of this source goes."""
    plan = ways.get(str(record), world.scene.plan)
    exits = Exits(node, plan.wiring(node, 1, plan.current.number))
    route = exits.of_source()
    return [] if route is None else [exits.place(number).node for number in exits.place(route).next]


def _account_is_closed(world: World, wanted: Outcome, *, calm: bool) -> None:
    for edge in world.account().edges:
        if not edge.balanced or (edge.in_flight and not world.state.killed):
            raise PromiseError(f"the account is not closed: {edge}")
        untouched = (edge.sent, edge.redelivered, edge.abandoned) == (wanted.sent[edge.source, edge.target], 0, 0)
        if calm and not untouched:
            raise PromiseError(f"nothing had happened, but the account says {edge}, wanted {wanted.sent}")


def _sources_are_counted(world: World, cast: Cast, ways: Ways, *, drained: bool) -> None:
    """Out of a source, sent - abandoned = records that were read, and could be, and go there."""
    account = world.account()
    for node in account.nodes:
        if node.node in cast.records:
            if not drained and node.received != len(cast.records[node.node]):
                raise PromiseError(f"{len(cast.records[node.node])} records were there, but {node} says otherwise")
            read = [r for r in cast.records[node.node][: node.received] if not isinstance(r, Unreadable)]
            if len(read) != node.received - node.failed:
                raise PromiseError(f"{len(read)} records could be read, but {node} says otherwise")
            for edge in account.edges:
                there = sum(1 for record in read if edge.target in _targets(world, ways, node.node, record))
                if edge.source == node.node and edge.sent - edge.abandoned != there:
                    raise PromiseError(f"{node} does not agree with {edge}")


def _letters_are_right(world: World, wanted: Outcome, owed: Outcome) -> list[str]:
    """Nothing is dead-lettered without cause; gives messages that were in hand at too many deaths by bad luck."""
    got = {(letter.reason, letter.target, str(letter.message)) for letter in world.letters.letters}
    for key in got - wanted.letters.keys():
        reason, _, message = key
        if reason == "flow version" and world.deaths:
            continue  # a straggler of a dead producer, whose message was handled all the same
        if reason != "crash" or world.deaths_in_hand[message] < CRASH_ATTEMPTS_MAX:
            raise PromiseError(f"dead-lettered without cause: {key}, in hand at {world.deaths_in_hand[message]} deaths")
    unlucky = [key[2] for key in got - wanted.letters.keys() if key[0] != "flow version"]
    missing = [key for key in owed.letters.keys() - got if not _under(key[2], unlucky)]
    if missing and not _may_lose(world.scene.plan):
        raise PromiseError(f"no dead letter for {sorted(missing)}")
    return unlucky


def _leaves_are_right(world: World, wanted: Outcome, owed: Outcome, unlucky: list[str], *, calm: bool) -> None:
    got: Counter[tuple[str, str]] = Counter()
    for name, disk in world.disks.items():
        node = world.state.instances[name].node
        got.update((node, str(message)) for message in disk.written)
    if extra := got.keys() - wanted.leaves.keys():
        raise PromiseError(f"sinks got what nobody sent: {sorted(extra)}")
    missing = [key for key in owed.leaves.keys() - got.keys() if not _under(key[1], unlucky)]
    if missing and (calm or not _may_lose(world.scene.plan)):
        raise PromiseError(f"lost: {sorted(missing)}")
    if calm and got != wanted.leaves:
        raise PromiseError(f"nothing had happened, but sinks got {got - wanted.leaves} twice")


def _under(message: str, above: Sequence[str]) -> bool:
    """Whether the message was made of one of these."""
    return any(message == one or message.startswith(f"{one}/") for one in above)


def _may_lose(plan: Plan) -> bool:
    outputs = [output for node in plan.nodes.values() for output in node.outputs]
    return any(o.delivery is Delivery.AT_MOST_ONCE or o.overload is not Overload.BLOCK for o in outputs)
