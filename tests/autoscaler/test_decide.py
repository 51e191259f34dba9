"""What one pass decides, and which guard keeps it from more or fewer: by the numbers that it was given."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoscaler.decide import decide
from autoscaler.decision import Action, Decision, Guard
from autoscaler.memory import EMPTY
from autoscaler.settings import Settings
from autoscaler.snapshot import NodeView, PlatformView, Replicas, Resources, Room, Snapshot
from streamer.plan.assignment import Role
from tests.autoscaler.jobs import Autoscaler, instance, job, sink, source, work

CALM_S = 120.0
"""Longer than any delay of scale-in that a test here meets."""


def _settled(scaler: Autoscaler, *nodes: NodeView) -> Decision:
    return scaler.passes(int(CALM_S / 5), *nodes)


def test_replicas_carry_the_demand_at_the_target_utilisation() -> None:
    decision = Autoscaler().decide(source(1000), work(4, 400))

    assert decision.wanted == 14, "1000 messages/s at 100 each, busy for 75 %"
    assert decision.action is Action.UP
    assert decision.formula is not None
    assert decision.formula.value == pytest.approx(1000 / 0.75 / 100)


def test_a_node_is_sized_by_what_would_come_and_not_by_what_gets_through() -> None:
    assert Autoscaler().decide(source(1000), work(1, 60)).wanted == 14


def test_a_measured_selectivity_carries_demand_on() -> None:
    feed = replace(source(1000), instances=(instance("feed-0", 1000, gains={"work": 0.3}, backlog={"work": 0.0}),))

    assert Autoscaler().decide(feed, work(1, 100)).wanted == 4


def test_the_right_size_stays() -> None:
    decision = _settled(Autoscaler(), source(1000), work(14, 1000))

    assert (decision.action, decision.wanted) == (Action.HOLD, 14)


def test_a_little_more_than_the_target_is_within_the_dead_band() -> None:
    decision = Autoscaler().decide(source(820), work(10, 820))

    assert decision.recommended == 11
    assert (decision.wanted, decision.guard) == (10, Guard.DEAD_BAND)


def test_what_waits_asks_for_replicas_beyond_the_demand() -> None:
    calm = Autoscaler().decide(source(500), work(5, 500))
    late = Autoscaler().decide(source(500, backlog=20_000), work(5, 500))

    assert late.wanted > calm.wanted
    assert late.formula is not None
    assert late.formula.terms["backlog_at_ready"] == pytest.approx(20_000)


def test_replicas_on_their_way_are_counted_and_not_asked_for_again() -> None:
    decision = Autoscaler().decide(source(1000), work(4, 400, starting=10))

    assert (decision.had, decision.wanted) == (14, 14)


def test_replicas_leave_only_after_the_whole_delay() -> None:
    scaler = Autoscaler()
    scaler.decide(source(1000), work(14, 1000))

    first = scaler.passes(3, source(100), work(14, 100))
    last = _settled(scaler, source(100), work(14, 100))

    assert (first.wanted, first.guard) == (14, Guard.STABILISING)
    assert last.wanted == 2


def test_no_replica_leaves_while_work_waits() -> None:
    decision = _settled(Autoscaler(), source(100, backlog=9000), work(14, 1400))

    assert (decision.wanted, decision.guard) == (14, Guard.BACKLOG)


def test_a_node_that_must_grow_again_soon_waits_longer_the_next_time() -> None:
    scaler = Autoscaler()
    _settled(scaler, source(100), work(14, 100))
    before = scaler.memory.nodes["job-1", "work"].patience
    scaler.decide(source(1000), work(2, 200))

    assert scaler.memory.nodes["job-1", "work"].patience == 2 * before


def test_a_person_has_the_last_word() -> None:
    decision = Autoscaler().decide(source(1000), work(4, 400, pinned=3))

    assert (decision.wanted, decision.guard) == (3, Guard.PINNED)


def test_a_stateful_node_is_one_instance_unless_it_is_partitioned() -> None:
    single = Autoscaler().decide(source(1000), work(1, 100, role=Role.STATEFUL))
    shared = Autoscaler().decide(source(1000), work(1, 100, role=Role.STATEFUL, partitioned=True))

    assert (single.wanted, single.guard) == (1, Guard.SINGLE)
    assert shared.wanted == 14


def test_nothing_changes_while_instances_are_replaced() -> None:
    decision = Autoscaler().decide(source(1000), work(4, 400, replicas=Replicas(ready=4, replaced=1)))

    assert (decision.wanted, decision.guard) == (5, Guard.REPLACING)


def test_a_node_does_not_grow_into_a_queue_that_is_full() -> None:
    full = tuple(instance(f"work-{at}", 100, 1.0, {"save": 1.0}, fullness={"save": 0.95}) for at in range(4))

    decision = Autoscaler().decide(source(1000), work(4, 400, instances=full))

    assert (decision.wanted, decision.guard) == (4, Guard.DOWNSTREAM)
    assert "save" in decision.reasons[0]


def test_replicas_that_do_not_come_to_work_are_not_followed_by_more() -> None:
    decision = Autoscaler().decide(source(1000), work(3, 300, replicas=Replicas(ready=3, failing=2)))

    assert (decision.wanted, decision.guard) == (5, Guard.FAILING)


def test_starting_replicas_that_are_long_overdue_are_not_followed_by_more() -> None:
    late = work(3, 300, starting=2, starting_ages_s=(400.0, 400.0))

    decision = Autoscaler().decide(source(1000), late)

    assert (decision.wanted, decision.guard) == (5, Guard.FAILING)


def test_messages_that_come_to_take_longer_end_a_trial_of_more_replicas() -> None:
    """The rate of a replica falls to a fiftieth, of which sharing something with three more explains no more than a
    quarter: what it was before says nothing any more."""
    scaler = Autoscaler()
    scaler.passes(5, source(100, backlog=800), work(1, 100))

    slow = scaler.decide(source(100, backlog=1200), work(4, 8, true_rate=2.0))

    assert slow.inputs.true_rate == pytest.approx(2.0)
    assert slow.wanted == 50, "all that it may have"


def test_what_the_platform_has_no_room_for_is_told() -> None:
    scaler = Autoscaler(platform=PlatformView(Room(instances=8), Room(instances=4)))

    decision = scaler.decide(source(1000), work(4, 400))

    assert (decision.wanted, decision.short, decision.guard) == (8, 6, Guard.CAPACITY)
    assert decision.reasons[0] == "it wants 14 replicas, and the platform has room for 8"


@pytest.mark.parametrize(
    ("demand", "held", "wanted", "guard"), [(9000, 4, 50, Guard.MAXIMUM), (10, 1, 3, Guard.MINIMUM)]
)
def test_bounds_of_the_user_are_named(demand: float, held: int, wanted: int, guard: Guard) -> None:
    decision = Autoscaler().decide(source(demand), work(held, min(demand, 100 * held), min_replicas=3))

    assert (decision.wanted, decision.guard) == (wanted, guard)


def test_two_scale_ups_that_gain_nothing_stop_the_growth() -> None:
    scaler = Autoscaler()
    replicas, decisions = 4, []
    for _ in range(40):
        slower = work(replicas, 400, true_rate=400 / replicas, max_replicas=300)
        decision = scaler.decide(source(1000, backlog=50_000), slower)
        replicas = decision.wanted
        decisions.append(decision)

    assert decisions[-1].guard is Guard.NO_GAIN
    assert len({decision.wanted for decision in decisions[-20:]}) == 1
    assert "bottleneck is outside" in decisions[-1].reasons[0]


def test_busy_time_that_misses_something_is_found_out_while_work_waits() -> None:
    scaler = Autoscaler()
    flattering = work(4, 400, true_rate=130.0)

    before = scaler.decide(source(400, backlog=4000), flattering)
    after = scaler.passes(6, source(400, backlog=4000), flattering)

    assert before.inputs.true_rate == pytest.approx(130.0)
    assert after.inputs.true_rate == pytest.approx(100.0)


def test_before_anything_was_handled_replicas_are_doubled() -> None:
    silent = tuple(instance(f"work-{at}", 0.0) for at in range(2))
    scaler = Autoscaler()

    first = scaler.decide(source(10, backlog=50), work(2, 0, instances=silent))
    later = scaler.decide(source(10, backlog=50), work(2, 0, instances=silent), after_s=40)

    assert (first.wanted, first.guard) == (2, Guard.UNKNOWN)
    assert later.wanted == 4


def test_behind_a_source_that_does_not_tell_what_more_it_has_a_full_queue_doubles_the_replicas() -> None:
    one = instance("feed-0", 400, gains={"work": 1.0}, backlog={"work": 300.0}, fullness={"work": 1.0})
    scaler = Autoscaler()

    untold = scaler.decide(source(400, instances=(one,)), work(4, 400))
    told = Autoscaler().decide(source(400, instances=(replace(one, unread=0.0),)), work(4, 400))

    assert (untold.wanted, told.wanted) == (8, 6)


def test_a_node_goes_to_zero_once_it_was_idle_for_long_and_comes_back_for_a_message() -> None:
    scaler = Autoscaler()
    idle = source(0.0)

    early = scaler.passes(40, idle, work(1, 0.0, min_replicas=0))
    late = scaler.passes(40, idle, work(1, 0.0, min_replicas=0))
    woken = scaler.decide(source(0.0, backlog=1), work(0, 0.0, min_replicas=0))

    assert (early.wanted, late.wanted) == (1, 0)
    assert (woken.action, woken.wanted) == (Action.UP, 1)


def test_a_node_with_an_accelerator_stays_warm_for_longer() -> None:
    scaler = Autoscaler()
    idle = work(1, 0.0, min_replicas=0, resources=Resources(gpu=1.0))

    early = scaler.passes(100, source(0.0), idle)
    late = scaler.passes(100, source(0.0), idle)

    assert (early.wanted, late.wanted) == (1, 0)


def test_rates_of_two_kinds_of_accelerators_are_kept_apart() -> None:
    slow = tuple(instance(f"work-{at}", 50, 1.0, {"save": 1.0}, accelerator="l4") for at in range(2))
    fast = tuple(instance(f"work-{at}", 200, 1.0, {"save": 1.0}, accelerator="h100") for at in range(2, 4))
    mixed = work(4, 500, instances=(*slow, *fast), resources=Resources(gpu=1.0, gpu_kind="h100"))

    decision = Autoscaler().decide(source(1000), mixed)

    assert decision.wanted == 9, "500 messages/s by those that are there, and 200 by each new one"


def test_spares_are_kept_beyond_the_demand() -> None:
    assert Autoscaler(Settings(spares=3)).decide(source(1000), work(4, 400)).wanted == 17


def test_missing_samples_count_against_the_direction_of_a_change() -> None:
    half = replace(work(14, 700), instances=work(7, 350).instances)
    blind = replace(source(700), replicas=Replicas(ready=2), role=Role.STATELESS)
    scaler = Autoscaler()

    decision = _settled(scaler, blind, half)

    assert decision.wanted == 14, "the other source may send as much as the one that is seen"


@given(
    demands=st.tuples(st.floats(0, 5000), st.floats(0, 5000)),
    held=st.integers(1, 40),
    backlog=st.floats(0, 1e5),
    true_rate=st.floats(1, 1000),
)
@settings(max_examples=60, deadline=None)
def test_more_demand_never_means_fewer_replicas(
    demands: tuple[float, float], held: int, backlog: float, true_rate: float
) -> None:
    wanted = [
        Autoscaler().decide(source(demand, backlog), work(held, 0.5 * held * true_rate, true_rate)).recommended
        for demand in sorted(demands)
    ]

    assert wanted[0] is not None
    assert wanted[1] is not None
    assert wanted[0] <= wanted[1]


def test_two_jobs_are_decided_apart() -> None:
    busy, calm = job(source(1000), work(4, 400), sink()), job(source(10), work(4, 10), sink(), name="job-2")

    plan, memory = decide(Snapshot(0.0, (busy, calm)), EMPTY, 0.0)

    wanted = {found.job: found.wanted for found in plan.decisions if found.node == "work"}
    assert wanted == {"job-1": 14, "job-2": 4}
    assert ("job-2", "work") in memory.nodes


def test_a_decision_is_the_same_after_its_way_through_the_journal() -> None:
    decision = Autoscaler().decide(source(1000), work(4, 400))

    assert Decision.from_document(decision.to_document()) == decision
