"""An instance whose flows change: what it knows at once, what it holds, and when it may come to its end."""

from __future__ import annotations

from threading import Thread
from typing import Any

import pytest

from streamer.errors import FlowError
from streamer.plan.assignment import Command, Role, Verb
from streamer.plan.routing import part_of
from streamer.protocol.segment import Segment
from streamer.runtime.algorithm import Algorithm
from streamer.runtime.api import Api
from streamer.runtime.instance import Instance
from streamer.runtime.stage import Stage
from tests.runtime.chain import Chain
from tests.runtime.test_api import Stateful, of
from tests.runtime.wirings import wiring

OLD = "numbers >> work >> out"
WIDER = "numbers >> work >> out | numbers >> out"


def told(instance: Instance, number: int, *flows: str, current: int | None = None, oldest: int = 1) -> None:
    node = instance.assignment.node
    instance.command(Command(Verb.FLOWS, wiring=wiring(node, number, *flows, current=current, oldest=oldest)))


def passing(args: dict[str, Any], _api: Api) -> object:
    return args["streamInput"]["message"]


@pytest.fixture
def chain() -> Chain:
    return Chain(of(passing), range(30), batch=10)


def waiting(instance: Instance, target: str = "out") -> list[Segment]:
    """What was sent and waits in an edge."""
    (edge,) = [edge for edge in instance.outbox.edges if edge.target == target]
    return [chunk.segment for chunk, _, _ in edge.held()]


# -- what is known, and when -------------------------------------------------------------------------------------------


def test_another_wiring_is_known_while_a_handler_is_at_work() -> None:
    chains: list[Chain] = []
    seen: list[int] = []

    def slow(args: dict[str, Any], _api: Api) -> object:
        control = Thread(target=told, args=(chains[0].work, 2, OLD, WIDER))
        control.start()
        control.join()
        seen.append(chains[0].work.sample().wiring)
        return args["streamInput"]["message"]

    chains.append(Chain(of(slow), [1]))
    chains[0].finish()
    assert seen == [2]


def test_an_older_wiring_that_comes_late_is_ignored(chain: Chain) -> None:
    told(chain.work, 3, OLD, WIDER)
    told(chain.work, 2, OLD)
    chain.step()
    assert chain.work.sample().wiring == 3
    assert [table.version for table in chain.work.wiring.tables] == [1, 2]


def test_whoever_knows_a_new_input_does_not_come_to_its_end_before_that(chain: Chain) -> None:
    told(chain.out, 2, OLD, WIDER, current=1)
    chain.until(lambda: len(chain.outcome) == 30)
    for _ in range(2_000):
        chain.step()
    assert chain.work.stage is Stage.ENDED
    assert chain.out.stage is Stage.RUNNING

    told(chain.out, 3, OLD)

    chain.finish()


def test_whoever_has_come_to_its_end_takes_no_new_input_and_says_so(chain: Chain) -> None:
    chain.until(lambda: chain.out.stage > Stage.RUNNING)
    told(chain.out, 2, OLD, WIDER)
    assert chain.out.sample().wiring == 1
    assert [edge.source for edge in chain.out.wiring.inputs] == ["work"]
    told(chain.out, 3, OLD, OLD)
    assert chain.out.sample().wiring == 3
    chain.finish()


def test_an_edge_that_comes_new_is_in_the_account_at_once_and_one_that_goes_stays_there(chain: Chain) -> None:
    told(chain.numbers, 2, OLD, WIDER)
    assert [edge.target for edge in chain.numbers.account.edges] == ["work", "out"]
    chain.until(lambda: chain.numbers.outbox.idle)

    told(chain.numbers, 3, "numbers >> out", oldest=3)

    assert [edge.target for edge in chain.numbers.account.edges] == ["work", "out"]
    assert [edge.target for edge in chain.numbers.sample().edges] == ["work", "out"]


# -- what is held ------------------------------------------------------------------------------------------------------


def test_it_tells_the_oldest_version_of_which_something_is_unsettled(chain: Chain) -> None:
    chain.until(lambda: chain.work.account.received > 0)
    assert chain.numbers.outbox.edges[0].counts.in_flight
    for instance in chain.instances:
        told(instance, 2, OLD, OLD)
    assert chain.numbers.sample().oldest_version == 1

    chain.until(lambda: chain.numbers.work.exhausted and chain.numbers.outbox.idle)

    assert [instance.sample().oldest_version for instance in chain.instances] == [2, 2, 2]


def test_a_version_that_is_proposed_and_not_in_force_is_held_by_nobody(chain: Chain) -> None:
    chain.until(lambda: chain.work.account.received > 0)
    for instance in chain.instances:
        told(instance, 2, OLD, OLD, current=1)
    chain.until(lambda: len(chain.outcome) == 30)
    assert [instance.sample().oldest_version for instance in chain.instances] == [1, 1, 1]


def test_messages_go_on_by_their_version_though_the_wiring_has_it_no_more(chain: Chain) -> None:
    chain.until(lambda: chain.work.account.received > 0)
    for instance in chain.instances:
        told(instance, 2, OLD, OLD)
    told(chain.numbers, 3, OLD, oldest=2)
    assert chain.numbers.sample().oldest_version == 1
    assert chain.finish().outcome == list(range(30))
    assert chain.dead == []


# -- what begins here --------------------------------------------------------------------------------------------------


def parts(stateful: Stateful) -> list[tuple[int, int]]:
    """(version's part of the routes, number of messages) of what the stateful node has sent, in order."""
    return [(part_of(segment.route), len(segment)) for segment in waiting(stateful.work)]


def test_what_is_sent_after_a_change_takes_the_new_version_and_ids_go_on() -> None:
    stateful = Stateful([])
    stateful.api.sendMessage("before")
    told(stateful.work, 2, OLD, OLD)
    stateful.api.sendMessage("after")
    stateful.api.sendMessage("after that")
    stateful.work.step()
    assert parts(stateful) == [(0, 1), (1, 2)]
    ids = [segment.id(at) for segment in waiting(stateful.work) for at in range(len(segment))]
    assert len(set(ids)) == 3


def test_a_proposed_version_is_not_taken() -> None:
    stateful = Stateful([])
    told(stateful.work, 2, OLD, OLD, current=1)
    stateful.api.sendMessage("still the old one")
    stateful.work.step()
    assert parts(stateful) == [(0, 1)]


def test_what_is_to_be_sent_later_keeps_the_version_of_the_moment_of_the_call() -> None:
    stateful = Stateful([])
    stateful.api.emit_at(5.0, "later")
    told(stateful.work, 2, OLD, OLD)
    assert stateful.work.sample().oldest_version == 1
    stateful.time_s = 6.0
    stateful.work.step()
    assert parts(stateful) == [(0, 1)]


def test_a_flow_can_be_named_from_the_moment_on_at_which_it_is_in_force() -> None:
    stateful = Stateful([])
    with pytest.raises(FlowError, match="no flow is named 'side'"):
        told(stateful.work, 2, OLD, OLD)
        stateful.api.sendMessage("too early", "side")


def test_listeners_that_were_registered_by_a_start_that_has_returned_hear_an_input_that_comes_later() -> None:
    heard: list[object] = []
    stateful = Stateful([], start=lambda _args, api: api.registerInputListener(lambda m, _origin: heard.append(m)))
    stateful.algorithm.start_returned.set()
    assert stateful.algorithm.listening
    assert stateful.work.work.accepts


def test_a_stateful_node_that_loses_its_inputs_is_a_source_from_then_on() -> None:
    stateful = Stateful([])
    told(stateful.work, 2, "work >> out", oldest=2)
    stateful.work.step()
    assert stateful.work.stage is Stage.RUNNING
    stateful.algorithm.start_returned.set()
    for _ in range(10):
        stateful.work.step()
    assert stateful.work.stage > Stage.RUNNING


@pytest.mark.parametrize("role", [Role.STATELESS, Role.STATEFUL])
def test_a_node_that_is_in_no_flow_any_more_waits_until_it_is_told_to_drain(role: Role) -> None:
    chain = Chain(Algorithm("work", passing, None, None, None), [], role=role)
    told(chain.work, 2, "numbers >> out", oldest=2)
    chain.algorithm.start_returned.set()
    for _ in range(10):
        chain.work.step()
    assert chain.work.stage is Stage.RUNNING

    chain.work.command(Command(Verb.DRAIN))

    chain.work.step()
    chain.work.step()
    assert chain.work.stage > Stage.RUNNING
