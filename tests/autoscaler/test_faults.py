"""Metrics that are gone, empty, stale or reset, clocks that step, platforms that refuse: the last decision holds.

Each fault happens in the middle of a simulated hour of constant load, or of one with a jump where it must not be made
worse. Nothing may flap: a fault of the metrics is no change of the load.
"""

from __future__ import annotations

import pytest

from autoscaler.decision import Action, Guard
from autoscaler.settings import DEFAULT
from autoscaler.simulation.disturbance import Disturbance
from autoscaler.simulation.experiment import Conditions, simulate
from autoscaler.simulation.layout import Layout, Link, Stage, three_stages
from autoscaler.simulation.rules.streamer import Streamer
from autoscaler.simulation.traces import Trace
from autoscaler.simulation.world import World
from streamer.plan.assignment import Role
from tests.autoscaler.jobs import Autoscaler, instance, source, work

SETTLED_S = 200
BEGIN_S, END_S = 300, 600
CONSTANT = Trace("constant", (500.0,) * 750)
TEN_MINUTES = Trace("ten minutes", (500.0,) * 1000)
FALLING = Trace.of("falling", lambda t: 800.0 if t < BEGIN_S else 100.0, 800)
RISING = Trace.of("rising", lambda t: 100.0 if t < BEGIN_S else 800.0, 800)


def _replicas(trace: Trace, disturbance: Disturbance) -> list[int]:
    """Second by second."""
    held: list[int] = []

    def observe(world: World, rate: float) -> None:
        assert rate >= 0
        held.append(sum(state.held for state in world.scaled))

    simulate(three_stages(), trace, Streamer(DEFAULT), Conditions(disturbance=disturbance), observe)
    return held


@pytest.mark.parametrize(
    "disturbance",
    [
        pytest.param(Disturbance(fallback=(BEGIN_S, END_S)), id="only the instances answer"),
        pytest.param(Disturbance(empty=(BEGIN_S, END_S)), id="empty answers"),
        pytest.param(Disturbance(stale=(BEGIN_S, END_S)), id="stale series"),
        pytest.param(Disturbance(silent=0.5, silent_span=(BEGIN_S, END_S)), id="half of the instances report nothing"),
        pytest.param(Disturbance(reset_at=BEGIN_S), id="counters begin anew"),
        pytest.param(Disturbance(clock_step_s=-3600.0, clock_step_at=BEGIN_S), id="the clock goes back"),
        pytest.param(Disturbance(clock_step_s=86_400.0, clock_step_at=BEGIN_S), id="the clock leaps"),
    ],
)
def test_nothing_changes_at_constant_load(disturbance: Disturbance) -> None:
    held = _replicas(CONSTANT, disturbance)

    assert set(held[SETTLED_S:]) == {held[SETTLED_S]}


def test_nothing_changes_while_the_metrics_server_is_gone_for_ten_minutes_and_afterwards() -> None:
    held = _replicas(TEN_MINUTES, Disturbance(gone=(BEGIN_S, BEGIN_S + 600)))

    assert set(held[SETTLED_S:]) == {held[SETTLED_S]}


@pytest.mark.parametrize("trace", [FALLING, RISING], ids=lambda trace: trace.name)
def test_without_metrics_the_last_decision_holds_whatever_the_load_does(trace: Trace) -> None:
    held = _replicas(trace, Disturbance(gone=(BEGIN_S - 10, END_S)))

    assert set(held[SETTLED_S : END_S - 1]) == {held[SETTLED_S]}
    assert held[-1] != held[SETTLED_S], "and afterwards everything catches up"


def test_instances_alone_justify_more_replicas_and_never_fewer() -> None:
    fewer = _replicas(FALLING, Disturbance(fallback=(BEGIN_S - 10, END_S)))
    more = _replicas(RISING, Disturbance(fallback=(BEGIN_S - 10, END_S)))

    assert min(fewer[BEGIN_S : END_S - 1]) >= fewer[SETTLED_S]
    assert more[BEGIN_S + 100] > more[SETTLED_S]


def test_a_load_that_jumps_as_counters_begin_anew_is_followed() -> None:
    assert _replicas(RISING, Disturbance(reset_at=BEGIN_S + 5))[BEGIN_S + 80] > 20


def test_a_platform_that_starts_nothing_is_not_asked_for_less_and_less_or_more_and_more() -> None:
    held = _replicas(RISING, Disturbance(refusing=(BEGIN_S, END_S)))

    assert set(held[BEGIN_S : END_S - 1]) == {held[SETTLED_S]}
    assert held[-1] > held[SETTLED_S]


def test_replicas_that_die_as_they_start_do_not_pile_up() -> None:
    held = _replicas(RISING, Disturbance(dying=(BEGIN_S - 10, END_S)))

    assert len(set(held[BEGIN_S + 200 : END_S])) == 1, "nothing flaps while they die"
    assert held[END_S] <= 100


def test_a_selectivity_that_changes_is_followed() -> None:
    held = _replicas(CONSTANT, Disturbance(selectivity=1.5, selectivity_at=BEGIN_S))

    assert held[-1] > 1.3 * held[SETTLED_S]


@pytest.mark.parametrize("work_at", range(BEGIN_S, BEGIN_S + 5))
@pytest.mark.parametrize("factor", [10, 100])
def test_work_that_becomes_longer_is_followed_wherever_between_two_looks_it_does(factor: int, work_at: int) -> None:
    worker = Stage("work", 2.0 * factor, min_replicas=0, contention=0.0)
    layout = Layout("one", (Stage("door", role=Role.SOURCE), worker), (Link("door", "work"),))
    trace = Trace("constant", (20.0,) * 500)
    disturbance = Disturbance(work=factor, work_at=work_at)

    criteria = simulate(
        layout, trace, Streamer(DEFAULT), Conditions(start_up_s=1, initial={"work": 1}, disturbance=disturbance)
    )

    assert criteria.late_fraction * len(trace.rates) <= 12
    assert criteria.oracle_ratio <= 1.6


def test_an_alarm_says_that_the_metrics_server_is_gone() -> None:
    plan = Autoscaler().plan(source(100), work(2, 100), fallback=True, failure="http://prometheus: refused")

    assert plan.alarms == ("http://prometheus: refused",)


def test_a_clock_that_steps_is_told_and_no_replica_leaves_for_it() -> None:
    scaler = Autoscaler()
    scaler.passes(3, source(100), work(14, 100))

    plan = scaler.plan(source(100), work(14, 100), after_s=7200)
    decision = plan.of("job-1", "work")

    assert "the clock has made a leap" in plan.alarms[0]
    assert decision is not None
    assert (decision.action, decision.guard) == (Action.HOLD, Guard.CLOCK)


def test_an_instance_of_which_nothing_is_known_is_not_one_that_does_nothing() -> None:
    unseen = tuple(instance(f"work-{at}", 0.0, window=None, latest=None, age_s=None) for at in range(14))
    scaler = Autoscaler()
    scaler.passes(5, source(1000), work(14, 1000))

    decision = scaler.passes(60, source(1000), work(14, 1000, instances=unseen))

    assert decision.wanted == 14
