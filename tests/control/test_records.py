"""A job in the control log: whoever takes it up knows what was known, however often a record comes."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer import clock
from streamer.control.book import Book, find, lines
from streamer.control.events import (
    Ask,
    Asked,
    Exited,
    FlowsSet,
    JobSubmitted,
    Reported,
    Resumed,
    Scaled,
    SendCommand,
    Ticked,
)
from streamer.control.jobs import JobStatus
from streamer.control.records import (
    JobFacts,
    JobLine,
    KeptJob,
    instance_entry,
    job_entry,
    kept_job,
    line_of,
    plan_entry,
    update_entry,
)
from streamer.control.state import Answer, InstanceRecord, JobState
from streamer.control.step import step
from streamer.control.wishes import want_end, want_flows, want_replicas, want_resumption
from streamer.errors import ClaimError, StateError
from streamer.log.base import BEGINNING, Record
from streamer.log.memory import MemoryLog, MemoryStore
from streamer.log.topics import Topic
from streamer.metrics.samples import InstanceSample, InstanceState
from streamer.plan.assignment import Canary, Code, KeptFile
from streamer.plan.change import FlowsChange, FlowsRollback, changed, with_version
from streamer.plan.plain import plain, typed
from tests.control.plans import CYCLE, LINE
from tests.control.test_any_story import Chapter, event_of, play, stories

FACTS = JobFacts("job", "words", "token", "folder", "directory", started_at=1.0, detached=True)


def kept(state: JobState, again: int = 0) -> KeptJob:
    """The job as it is read from records, the `again`-th of which comes twice."""
    entries = [plan_entry("job", state.plan), job_entry(line_of(FACTS, state, 0.0))]
    entries += [instance_entry("job", record, 0.0) for record in state.instances.values()]
    if state.update is not None:
        entries.append(update_entry("job", state.update.plan))
    entries.append(entries[again % len(entries)])
    records = [Record(e.topic, 0, at, e.key, e.value, 0, 0.0) for at, e in enumerate(entries)]
    jobs = {record.key: record for record in records if record.topic is Topic.JOBS}
    found = kept_job(jobs, {r.key: r for r in records if r.topic is Topic.ASSIGNMENTS}, "job")
    assert found is not None
    return found


def forgotten(state: JobState) -> JobState:
    """Without what instances say of themselves, which is not kept: they say it again."""
    blank = InstanceRecord("", 0, "", 0.0)
    volatile = {
        name: getattr(blank, name)
        for name in (
            "sample", "heard", "progressed", "quiet_since", "quiet_before", "quiet_last",
            "told_at", "told_version", "told", "wired", "told_wired", "said_before", "said_last", "exit", "ready_at",
        )
    }  # fmt: skip
    instances = {name: dataclasses.replace(record, **volatile) for name, record in state.instances.items()}
    versions = dict.fromkeys(state.plan.nodes, 9)
    if state.update is not None:
        state = dataclasses.replace(state, update=dataclasses.replace(state.update, found_at=None))
    return dataclasses.replace(state, instances=instances, versions=versions, wired=9, clear=None)


@given(stories, st.integers(0, 20))
def test_after_any_story_the_records_give_the_state_that_was_kept_also_if_one_comes_twice(
    story: list[Chapter], again: int
) -> None:
    state, _, _ = play(story)

    taken_up = kept(state, again).state(0.0, 9)

    assert taken_up == forgotten(state)
    assert taken_up is not None
    assert kept(taken_up).state(0.0, 9) == taken_up


def test_a_change_that_was_under_way_goes_on_under_another_controller() -> None:
    state, _ = step(None, JobSubmitted("job", LINE), 0.0)
    state, _ = step(state, FlowsSet(FlowsChange({"main": "lines >> save"}), 7), 1.0)

    taken_up = kept(state).state(0.0, 1_000)
    assert taken_up is not None
    taken_up = all_know(taken_up, state.wired, 2.0)
    taken_up, told = step(taken_up, Ticked(), 2.0)

    wirings = [effect.command.wiring for effect in told if isinstance(effect, SendCommand) and effect.command.wiring]
    assert [(w.number, w.current, len(w.tables)) for w in wirings] == [(1_000, 1, 2)] * 4
    assert taken_up.plan.current.number == 1, "nobody has said that it knows what this controller has told"
    taken_up, _ = step(all_know(taken_up, 1_000, 3.0), Ticked(), 3.0)
    assert taken_up.plan.current.flows == {"main": "lines >> save"}
    assert taken_up.answers == (Answer(7, 2),)


def test_a_canary_goes_on_under_another_controller_from_its_proposal_to_its_share() -> None:
    state, _ = step(None, JobSubmitted("job", LINE), 0.0)
    state, _ = step(state, FlowsSet(FlowsChange({"main": "lines >> save"}, parts=1_000), 7, at=5.0), 1.0)

    second = kept(state).state(0.0, 1_000)
    assert second is not None
    second, _ = step(all_know(second, 1_000, 3.0), Ticked(), 3.0)
    assert (second.plan.current.number, second.plan.canary) == (1, Canary(2, 1_000))

    third = kept(second).state(0.0, 2_000)
    assert third is not None
    assert third.plan == second.plan
    wiring = third.wiring_of("lines")
    assert (wiring.number, wiring.current, wiring.canary) == (2_000, 1, Canary(2, 1_000))
    third, _ = step(third, FlowsSet(FlowsRollback(), 8, at=6.0), 4.0)
    fourth = kept(third).state(0.0, 3_000)
    assert fourth is not None
    assert fourth.plan.canary == Canary(2, 0)
    fourth, _ = step(all_know(fourth, 3_000, 5.0), Ticked(), 5.0)
    assert (fourth.plan.current.number, fourth.plan.current.flows) == (3, LINE.current.flows)


def test_an_instance_s_word_about_the_flows_is_in_its_record_until_it_is_started_again() -> None:
    state, _ = step(None, JobSubmitted("job", LINE), 0.0)
    assert {(one.version, one.knows) for one in kept(state).instances} == {(0, 0)}

    sample = InstanceSample("parse-0", "parse", 1, InstanceState.RUNNING, version=1, newest_version=2)
    state, _ = step(state, Reported(sample), 1.0)
    assert [(one.version, one.knows) for one in kept(state).instances if one.instance == "parse-0"] == [(1, 2)]

    state, _ = step(state, Exited("parse-0", 1, -9), 2.0)
    state, _ = step(state, Ticked(), 9.0)
    assert [(one.version, one.knows) for one in kept(state).instances if one.instance == "parse-0"] == [(0, 0)]


def all_know(state: JobState, wiring: int, now: float) -> JobState:
    """Every instance has said that it knows the wiring of this number."""
    for record in state.instances.values():
        sample = InstanceSample(record.instance, record.node, 1, InstanceState.RUNNING, wiring=wiring)
        state, _ = step(state, Reported(sample), now)
    return state


def test_a_plan_whose_flows_have_changed_is_written_again() -> None:
    log = MemoryLog(MemoryStore())
    book = Book(log, FACTS)
    book.begin(LINE)
    state, _ = step(None, JobSubmitted("job", LINE), 0.0)
    book.keep(state)
    version = changed(LINE, FlowsChange({"main": "lines >> save"}))
    assert version is not None

    book.keep(dataclasses.replace(state, plan=with_version(LINE, version)))

    found = find(log, "job")
    assert found is not None
    assert found.plan == with_version(LINE, version)


def test_what_instances_count_is_no_record_and_where_they_take_messages_is() -> None:
    log = MemoryLog(MemoryStore())
    book = Book(log, FACTS)
    book.begin(LINE)
    state, _ = step(None, JobSubmitted("job", LINE), 0.0)
    state = all_know(state, 1, 1.0)
    book.keep(state)
    written = log.end([Topic.JOBS, Topic.ASSIGNMENTS])

    sample = InstanceSample("lines-0", "lines", 1, InstanceState.RUNNING, wiring=1, received=7, completed=7)
    state, _ = step(state, Reported(sample), 2.0)
    book.keep(state)
    assert log.end([Topic.JOBS, Topic.ASSIGNMENTS]) == written

    state, _ = step(state, Reported(dataclasses.replace(sample, address="http://127.0.0.1:1/")), 3.0)
    book.keep(state)
    found = find(log, "job")
    assert found is not None
    assert found.line.addresses == {"lines": "http://127.0.0.1:1/"}


@given(stories)
def test_whoever_writes_only_what_has_changed_has_written_all_of_it(story: list[Chapter]) -> None:
    """After each step of any story the log has the records of the state as it is then."""
    log = MemoryLog(MemoryStore())
    book = Book(log, FACTS)
    book.clock_offset_s = 0.0
    book.begin(CYCLE)
    now, (state, _) = 0.0, step(None, JobSubmitted("job", CYCLE), 0.0)
    for chapter in story:
        now += chapter.after_s
        event = event_of(chapter, state)
        if event is not None:
            state, _ = step(state, event, now)
            book.keep(state)

    book.keep(state)
    assert find(log, "job") == kept(state)


def test_times_are_those_of_the_clock_that_reads_them() -> None:
    state, _, _ = play([])

    taken_up = kept(state).state(-100.0, 9)

    assert taken_up is not None
    assert taken_up.submitted_at == state.submitted_at + 100.0
    assert taken_up.instances["lines-0"].started_at == state.instances["lines-0"].started_at + 100.0


@pytest.mark.parametrize("plan", [LINE, CYCLE])
def test_a_plan_is_the_same_when_it_is_read_back(plan: object) -> None:
    assert typed(type(plan), plain(plan)) == plan


def test_a_record_that_is_none_is_refused() -> None:
    with pytest.raises(StateError, match="no JobFacts"):
        typed(JobFacts, {"job": "job", "surprise": 1})


def test_a_new_supervisor_reads_all_wishes_and_an_old_one_can_write_no_more() -> None:
    log = MemoryLog(MemoryStore())
    first = Book(log, FACTS)
    first.begin(LINE)
    number = want_replicas(log, "job", "parse", 3)
    change = FlowsChange({"main": "lines >> save", "gone": None}, "main")
    flows = want_flows(log, "job", change)
    share, back = FlowsChange({}, parts=500), FlowsRollback(3)
    asked = [FlowsSet(one, want_flows(log, "job", one)) for one in (share, back)]
    end = want_end(log, "job", Ask.DRAIN)
    mended = {"parse": Code("parse", "/parse.py", (KeptFile("/parse.py", "1f"),))}
    again = want_resumption(log, "job", mended)
    wanted = [
        Scaled("parse", 3, number),
        FlowsSet(change, flows),
        *asked,
        Asked(Ask.DRAIN, end),
        Resumed(again, mended),
    ]
    assert list(first.wishes()) == wanted
    assert list(first.wishes()) == []

    second = Book(log, FACTS)

    assert second.epoch > first.epoch
    assert list(second.wishes()) == wanted
    with pytest.raises(ClaimError):
        first.wishes()


def test_what_has_not_changed_is_not_written_again() -> None:
    log = MemoryLog(MemoryStore())
    book = Book(log, FACTS)
    state, _, _ = play([])
    book.keep(state)
    written = len(log.read(Topic.JOBS, BEGINNING).records) + len(log.read(Topic.ASSIGNMENTS, BEGINNING).records)

    book.keep(dataclasses.replace(state, versions={}))

    again = len(log.read(Topic.JOBS, BEGINNING).records) + len(log.read(Topic.ASSIGNMENTS, BEGINNING).records)
    assert again == written


def test_a_job_that_has_not_begun_is_starting() -> None:
    log = MemoryLog(MemoryStore())
    Book(log, FACTS).begin(LINE)

    found = find(log, "job")

    assert found is not None
    assert found.state(clock.wall(), 0) is None
    (line,) = lines(log, lambda error: pytest.fail(str(error)))
    assert (line.facts, line.status, line.live) == (FACTS, JobStatus.STARTING, True)


def test_a_record_that_cannot_be_read_costs_its_job_alone_and_is_named() -> None:
    log = MemoryLog(MemoryStore())
    told: list[StateError] = []
    good = json.dumps(plain(JobLine(FACTS))).encode()
    for job, value in ((FACTS.job, good), ("other", b"null")):
        log.append(Topic.JOBS, job, value, claim=log.claim(job, "me"))

    assert [line.facts for line in lines(log, told.append)] == [FACTS]
    assert str(told[0]).startswith("the record of other at ")
    assert "in jobs of the control log cannot be read: " in str(told[0])
