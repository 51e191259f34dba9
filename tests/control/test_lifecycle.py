"""The tables themselves: every phase can be left, every end is an end, and what is missing raises."""

from __future__ import annotations

import pytest

from streamer.control.lifecycle import (
    INSTANCE,
    JOB,
    InstanceEvent,
    InstancePhase,
    JobEvent,
    JobPhase,
    follow,
)
from streamer.errors import LifecycleError


def test_every_phase_has_a_row_in_its_table() -> None:
    assert set(JOB) == set(JobPhase)
    assert set(INSTANCE) == set(InstancePhase)


@pytest.mark.parametrize("phase", [p for p in JobPhase if p.ended])
def test_an_ended_job_stays_as_it_is_unless_it_has_failed_and_is_resumed(phase: JobPhase) -> None:
    after = {event: to for event, to in JOB[phase].items() if to is not phase}
    assert after == ({JobEvent.RESUME: JobPhase.STARTING} if phase is JobPhase.FAILED else {})


def test_nothing_happens_to_an_instance_that_is_gone_unless_it_died_with_its_job() -> None:
    assert INSTANCE[InstancePhase.COMPLETED] == {}
    assert INSTANCE[InstancePhase.DEAD] == {InstanceEvent.RESUMES: InstancePhase.RESTARTING}


def test_an_instance_that_was_scaled_away_can_only_be_started_again() -> None:
    assert INSTANCE[InstancePhase.RETIRED] == {InstanceEvent.STARTS: InstancePhase.STARTING}


@pytest.mark.parametrize("phase", [p for p in JobPhase if not p.ended])
def test_every_job_can_be_killed_and_comes_to_an_end_when_its_last_instance_is_gone(phase: JobPhase) -> None:
    assert follow(JOB, phase, JobEvent.KILL).ending_by_force
    assert follow(JOB, phase, JobEvent.GONE).ended


@pytest.mark.parametrize("phase", [p for p in InstancePhase if not p.gone])
def test_every_instance_can_be_ended_by_force(phase: InstancePhase) -> None:
    assert follow(INSTANCE, phase, InstanceEvent.ENDS).gone


def test_an_event_that_a_phase_does_not_know_raises_naming_both() -> None:
    with pytest.raises(LifecycleError, match="'completed' does not know the event 'dies'"):
        follow(INSTANCE, InstancePhase.COMPLETED, InstanceEvent.DIES)
