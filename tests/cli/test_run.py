"""What the run command passes on: what Prometheus sees of a job, and how often somebody asked it to end."""

from __future__ import annotations

import signal

from streamer.cli.interrupts import Interrupts
from streamer.cli.run import observation
from tests.cli.watched import sample, snapshot


def test_interrupts_are_counted_and_do_nothing_else() -> None:
    with Interrupts() as interrupts:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)

    assert interrupts.count == 2


def test_signals_have_their_former_meaning_again_afterwards() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)

    with Interrupts():
        pass

    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_only_living_instances_have_series() -> None:
    phases = {"lines-0": "completed", "parse-0": "running", "parse-1": "restarting", "save-0": "draining"}

    seen = observation(snapshot(1, *(sample(instance) for instance in phases), phases=phases))

    assert [one.instance for one in seen.samples] == ["parse-0", "save-0"]


def test_replicas_are_counted_by_state_with_zeros_and_compared_with_the_plan() -> None:
    seen = observation(snapshot(1, phases={"parse-0": "running", "parse-1": "dead"}))

    assert {state: count for state, count in seen.replicas["parse"].items() if count} == {"running": 1, "dead": 1}
    assert set(seen.replicas["save"].values()) == {0}
    assert seen.desired == {"lines": 1, "parse": 2, "save": 1}
