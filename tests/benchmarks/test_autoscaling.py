"""The live runs of the autoscaler work, for a moment: a load from outside comes through, and is simulated beside."""

from __future__ import annotations

from autoscaler.settings import Settings
from benchmarks.scenario.autoscaling import CASES, Case, measured, simulated, table


def test_a_trace_is_driven_through_real_processes_and_simulated_beside() -> None:
    case = Case("short", (5.0, 5.0, 20.0), 0.01, copies=2, settings=Settings(tick_s=1.0, window_s=2.0))

    live, simulation = measured(case), simulated(case)

    assert live["messages"] == 30
    assert set(simulation) <= set(live)
    assert "| short | " in table([{"case": case.name, "live": live, "simulated": simulation}])


def test_the_cases_are_told_apart_by_their_names() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
