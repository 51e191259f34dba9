"""Deaths in virtual time: delays, what counts as progress, crash loops, and what a person reads."""

from __future__ import annotations

import pytest

from streamer import limits
from streamer.control.deaths import describe_code, last_error
from streamer.control.lifecycle import InstancePhase, JobPhase
from streamer.metrics.samples import EdgeSample, InstanceState
from streamer.plan.assignment import Verb
from tests.control.plans import LINE
from tests.control.stage import Stage


def running() -> Stage:
    stage = Stage(LINE)
    stage.all_say(InstanceState.RUNNING)
    stage.tick()
    return stage


def die_and_return(stage: Stage, instance: str = "parse-0", completed: int = 0) -> None:
    """One death, and the start of the next life once its delay is over."""
    stage.dies(instance, completed=completed)
    stage.later(limits.RESTART_DELAY_MAX_S)


# -- starting again ---------------------------------------------------------------------------------------------------


def test_a_dead_instance_is_started_again_under_its_name_at_its_address_in_a_new_epoch() -> None:
    stage = running()
    stage.dies("parse-0")
    stage.later(limits.RESTART_DELAY_S)
    start = stage.starts()["parse-0"]
    assert (start.index, start.epoch, start.endpoint) == (0, 2, "tcp://parse-0")


def test_the_neighbours_of_a_new_life_are_told_its_epoch() -> None:
    stage = running()
    stage.dies("parse-0")
    stage.later(limits.RESTART_DELAY_S)
    assert set(stage.peers()) == {"lines-0", "save-0"}
    assert [peer.epoch for peer in stage.peers()["lines-0"].children] == [2, 1]


def test_a_new_life_is_told_its_peers_once_it_reports() -> None:
    stage = running()
    die_and_return(stage)
    assert "parse-0" not in stage.told(Verb.PEERS)
    stage.says("parse-0", InstanceState.STARTING)
    stage.tick()
    assert stage.told(Verb.PEERS) == {"parse-0"}


def test_the_delay_doubles_with_each_death_without_progress_up_to_its_limit() -> None:
    stage = running()
    for delay_s in (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0):
        stage.now += limits.CRASH_LOOP_LIFE_S
        stage.dies("parse-0")
        assert stage.is_restarted_after(delay_s, "parse-0")


def test_the_delay_is_short_again_after_a_life_that_settled_a_message() -> None:
    stage = running()
    for _ in range(3):
        die_and_return(stage)
    stage.says("parse-0", completed=1)
    stage.dies("parse-0")
    assert stage.is_restarted_after(0.1, "parse-0")


def test_restarts_are_counted_by_node() -> None:
    stage = running()
    die_and_return(stage, "parse-0")
    die_and_return(stage, "parse-1")
    assert stage.state.restarts() == {"lines": 0, "parse": 2, "save": 0}


# -- crash loops ------------------------------------------------------------------------------------------------------


def test_five_early_deaths_in_a_row_fail_the_job_naming_node_and_error() -> None:
    stage = running()
    for _ in range(4):
        die_and_return(stage)
    stage.exits("parse-0", 1, output=("Traceback (most recent call last):", '  File "parse.py"', "ValueError: no"))
    assert stage.phase() is JobPhase.FAILING
    assert stage.kills() == {"lines-0", "parse-1", "save-0"}
    assert stage.state.error == (
        "node parse: instance parse-0 died 5 times in a row, each within 10 s of its start and with nothing done; "
        'the last time with exit code 1:\nTraceback (most recent call last):\n  File "parse.py"\nValueError: no'
    )


def test_a_failing_job_has_failed_when_its_last_instance_is_gone() -> None:
    stage = running()
    for _ in range(4):
        die_and_return(stage)
    stage.dies("parse-0")
    for instance in ("lines-0", "parse-1", "save-0"):
        assert stage.phase() is JobPhase.FAILING
        stage.dies(instance)
    assert stage.phase() is JobPhase.FAILED
    assert not stage.state.killed


def test_a_kill_of_a_failing_job_leaves_it_failed() -> None:
    stage = running()
    stage.exits("parse-0", 3, cannot_open=True)
    stage.kill()
    for instance in ("lines-0", "parse-1", "save-0"):
        stage.dies(instance)
    assert stage.phase() is JobPhase.FAILED


def test_deaths_of_different_instances_do_not_add_up() -> None:
    stage = running()
    for _ in range(4):
        die_and_return(stage, "parse-0")
        die_and_return(stage, "parse-1")
    assert not stage.phase().ending_by_force


def test_late_deaths_are_no_crash_loop() -> None:
    stage = running()
    for _ in range(20):
        stage.now += limits.CRASH_LOOP_LIFE_S
        die_and_return(stage)
    assert stage.phase() is JobPhase.RUNNING


@pytest.mark.parametrize(
    "progress",
    [
        pytest.param("sample", id="it reported a settled message"),
        pytest.param("page", id="its account page has one that it did not come to report"),
        pytest.param("parent", id="its parent reported a dead letter on its way into the node"),
    ],
)
def test_a_life_in_which_something_got_done_clears_the_count(progress: str) -> None:
    stage = running()
    for _ in range(4):
        die_and_return(stage)
    if progress == "sample":
        stage.says("parse-0", completed=1)
    if progress == "parent":
        stage.says("lines-0", edges=(EdgeSample("parse", sent=1, dead_lettered=1),))
    stage.dies("parse-0", completed=1 if progress == "page" else 0)
    assert stage.record("parse-0").phase is InstancePhase.RESTARTING
    assert stage.record("parse-0").quick_deaths == 0


def test_progress_of_an_earlier_life_counts_once_only() -> None:
    stage = running()
    die_and_return(stage, completed=7)
    for _ in range(4):
        die_and_return(stage, completed=7)
    assert not stage.phase().ending_by_force
    stage.dies("parse-0", completed=7)
    assert stage.phase() is JobPhase.FAILING


def test_an_instance_that_leaves_in_order_five_times_without_a_word_is_a_crash_loop_too() -> None:
    stage = running()
    for _ in range(5):
        stage.exits("parse-0")
        stage.later(limits.LAST_WORD_S)
        stage.later(limits.RESTART_DELAY_MAX_S)
    assert stage.phase() is JobPhase.FAILING
    assert stage.state.error is not None and "with exit code 0" in stage.state.error


def test_an_instance_that_cannot_open_fails_the_job_at_once() -> None:
    stage = running()
    stage.exits("save-0", 3, cannot_open=True, output=("out.jsonl: permission denied",))
    assert stage.phase() is JobPhase.FAILING
    assert stage.state.error == "node save: instance save-0 cannot begin:\nout.jsonl: permission denied"


def test_a_handler_error_that_is_to_end_the_job_ends_it_and_is_told() -> None:
    stage = running()
    stage.exits("parse-0", 5, handler_error="Traceback (most recent call last):\nValueError: bad\n", output=("other",))
    assert stage.phase() is JobPhase.FAILING
    assert stage.state.error == (
        "node parse: the handler of instance parse-0 has failed, and onError says: stop\n"
        "Traceback (most recent call last):\nValueError: bad"
    )


def test_an_exit_code_alone_is_the_users_own_whichever_it_is() -> None:
    stage = running()
    for code in (2, 3, 64, 255):
        stage.exits("parse-0", code, completed=code)
        assert stage.phase() is JobPhase.RUNNING
        assert stage.is_restarted_after(limits.RESTART_DELAY_S, "parse-0")


# -- words ------------------------------------------------------------------------------------------------------------


def test_without_output_the_last_error_of_the_sample_is_told() -> None:
    stage = running()
    stage.says("save-0", last_error="ConnectorError: disk full")
    stage.exits("save-0", 3, cannot_open=True)
    assert stage.state.error == "node save: instance save-0 cannot begin:\nConnectorError: disk full"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        pytest.param(1, "with exit code 1", id="code"),
        pytest.param(-9, "by signal SIGKILL", id="signal"),
        pytest.param(-99, "by signal 99", id="unknown signal"),
    ],
)
def test_an_exit_code_is_told_in_words(code: int, words: str) -> None:
    assert describe_code(code) == words


def test_the_last_traceback_is_told_with_its_causes_and_without_what_came_before() -> None:
    cause = ("Traceback (most recent call last):", "KeyError: 'id'", "")
    between = ("The above exception was the direct cause of the following exception:", "")
    effect = ("Traceback (most recent call last):", "ValueError: no id")
    old = ("Traceback (most recent call last):", "OSError: long ago", "handled 3 messages")
    assert last_error((*old, *cause, *between, *effect)) == "\n".join((*cause, *between, *effect))


def test_without_a_traceback_the_last_lines_are_told() -> None:
    assert last_error(tuple(f"line {n}" for n in range(30))).split("\n") == [f"line {n}" for n in range(20, 30)]
