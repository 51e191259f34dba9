"""A job that has failed goes on: what died with it starts again, what had ended stays ended, old wishes are over."""

from __future__ import annotations

import dataclasses

from streamer.control.events import Ask, Asked, Resumed, StartInstance
from streamer.control.lifecycle import InstancePhase, JobPhase
from streamer.metrics.samples import InstanceState
from streamer.plan.assignment import Code
from tests.control.plans import LINE
from tests.control.stage import Stage


def failed() -> Stage:
    """Of lines >> parse (two) >> save: `lines` has ended, and `save` cannot begin."""
    stage = Stage(LINE)
    stage.all_say(InstanceState.RUNNING)
    stage.completes("lines-0")
    stage.exits("save-0", 3, cannot_open=True)
    for instance in ("parse-0", "parse-1"):
        stage.dies(instance)
    assert stage.phase() is JobPhase.FAILED
    return stage


def test_all_that_died_with_the_job_starts_again_in_a_new_life_and_what_had_completed_does_not() -> None:
    stage = failed()

    stage.take(Resumed(7))
    stage.tick()

    assert set(stage.done) == {
        StartInstance("parse", 0, "parse-0", 2, ""),
        StartInstance("parse", 1, "parse-1", 2, ""),
        StartInstance("save", 0, "save-0", 2, ""),
    }
    assert stage.phase() is JobPhase.STARTING
    assert stage.record("lines-0").phase is InstancePhase.COMPLETED
    assert (stage.state.error, stage.state.ended_at) == (None, None)


def test_it_may_complete_and_it_may_fail_again() -> None:
    for code, phase in ((0, JobPhase.COMPLETED), (3, JobPhase.FAILED)):
        stage = failed()
        stage.take(Resumed(7))
        stage.tick()
        stage.says("save-0")
        stage.completes("parse-0")
        stage.completes("parse-1")
        if code:
            stage.exits("save-0", code, cannot_open=True)
        else:
            stage.completes("save-0")
        assert stage.phase() is phase


def test_what_was_wanted_before_is_over_also_if_another_supervisor_reads_it_again() -> None:
    stage = failed()
    stage.take(Resumed(7))
    stage.tick()

    stage.take(Asked(Ask.KILL, 6))
    assert stage.phase() is JobPhase.STARTING
    stage.take(Resumed(7))
    assert stage.phase() is JobPhase.STARTING
    stage.take(Asked(Ask.DRAIN, 8))
    assert stage.phase() is JobPhase.DRAINING


def test_it_goes_on_with_the_code_that_was_read_anew_and_otherwise_with_what_it_had() -> None:
    stage = failed()
    before = stage.state.plan
    mended = Code("parse", "/mended.py")

    stage.take(Resumed(7, {"parse": mended, "gone": mended}))

    after = stage.state.plan
    assert {name: node.code for name, node in after.nodes.items()} == {"lines": None, "parse": mended, "save": None}
    assert dataclasses.replace(after, nodes=before.nodes) == before


def test_a_job_that_has_not_failed_does_not_change() -> None:
    stage = Stage(LINE)
    before = stage.state

    stage.take(Resumed(7))

    assert stage.state == before
