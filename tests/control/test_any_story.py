"""Properties of the controller under any story: events of any kind, late, doubled and of earlier lives."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from streamer import limits
from streamer.control.events import (
    Ask,
    Asked,
    Decided,
    Effect,
    Event,
    Exited,
    FlowsSet,
    JobSubmitted,
    KillInstance,
    Reported,
    Resumed,
    Scaled,
    SendCommand,
    StartInstance,
    Ticked,
    UpdateWanted,
)
from streamer.control.lifecycle import INSTANCE, InstanceEvent, InstancePhase, JobPhase
from streamer.control.state import InstanceRecord, JobState
from streamer.control.step import step
from streamer.metrics.samples import EdgeSample, InstanceSample, InstanceState
from streamer.plan.change import FlowsChange, FlowsRollback
from tests.control.plans import CYCLE, coded, joined

_CHANGES = (
    FlowsChange({"main": "lines >> first >> second >> save"}),
    FlowsChange({"main": "lines >> second >> first >> second | second >> save"}),
    FlowsChange({"side": "lines >> save | first >> save", "main": "lines >> first >> second >> save"}, "side"),
    FlowsChange({"side": None, "none": "lines >> nowhere"}),
    FlowsChange({"main": "lines >> first >> second >> save"}, parts=1_000),
    FlowsChange({"main": "lines >> first & second >> save"}, parts=0),
    FlowsChange({}, parts=5_000),
    FlowsChange({}),
    FlowsRollback(),
    FlowsRollback(1),
)
_UPDATES = (
    coded(CYCLE, "first", "second"),
    joined(coded(CYCLE, "second"), {"main": "lines >> second >> save", "new": "lines >> first >> second"}, "main"),
    joined(CYCLE, {"main": "lines >> first >> second >> first | second >> save"}, "main"),
)
_INSTANCES = ("lines-0", "first-0", "second-0", "second-1", "second-2", "save-0")


@dataclass(frozen=True, slots=True)
class Chapter:
    """One event and the time before it; `lives_ago` makes it speak of an earlier life."""

    after_s: float
    kind: str
    instance: str
    lives_ago: int
    says: InstanceState
    quiet: bool
    count: int
    code: int
    change: FlowsChange | FlowsRollback


_KINDS = (
    *("report", "report", "report", "exit", "tick", "tick", "scale", "decide", "flows", "flows", "update", "update"),
    *("drain", "kill", "resume"),
)

chapters = st.builds(
    Chapter,
    after_s=st.sampled_from([0.0, 0.01, 0.25, 1.0, 6.0, 40.0]),
    kind=st.sampled_from(_KINDS),
    instance=st.sampled_from(_INSTANCES),
    lives_ago=st.sampled_from([0, 0, 0, 1]),
    says=st.sampled_from(InstanceState),
    quiet=st.booleans(),
    count=st.integers(0, 2),
    code=st.sampled_from([0, 0, 1, -9, 3]),
    change=st.sampled_from(_CHANGES),
)
stories = st.lists(chapters, max_size=60)


def event_of(chapter: Chapter, state: JobState) -> Event | None:
    """None for what cannot be: a living instance that takes back what it has said, or one that there is not yet."""
    record = state.instances.get(chapter.instance)
    if record is None:
        return None
    epoch = record.epoch - chapter.lives_ago
    match chapter.kind:
        case "report":
            known = INSTANCE[record.phase]
            if record.phase.living and InstanceEvent(f"says {chapter.says}") not in known:
                return None
            edges = (EdgeSample("first", sent=chapter.count, dead_lettered=chapter.count // 2),)
            return Reported(
                InstanceSample(
                    chapter.instance, record.node, epoch, chapter.says, endpoint="tcp://x",
                    received=chapter.count, completed=chapter.count, quiet=chapter.quiet, edges=edges,
                    wiring=record.told_wired if chapter.count else record.wired,
                    oldest_version=state.plan.current.number - chapter.lives_ago,
                )
            )  # fmt: skip
        case "exit":
            cannot_open = chapter.code == 3
            return Exited(
                chapter.instance, epoch, chapter.code, ("last words",), chapter.count, cannot_open=cannot_open
            )
        case "tick":
            return Ticked()
    return _wish_of(chapter, state.wish + 1 - chapter.lives_ago)


def _wish_of(chapter: Chapter, number: int) -> Event:
    match chapter.kind:
        case "drain" | "kill":
            return Asked(Ask(chapter.kind))
        case "scale":
            return Scaled("second", chapter.count + 1 if chapter.code else None, number)
        case "decide":
            return Decided("second", chapter.count + chapter.code % 2)
        case "flows":
            return FlowsSet(chapter.change, number)
        case "update":
            return UpdateWanted(_UPDATES[(chapter.count + chapter.code) % 3], number)
    return Resumed(number)


class Processes:
    """What a platform would have: at most one life of each instance."""

    def __init__(self) -> None:
        self.living: dict[str, int] = {}

    def do(self, effects: tuple[Effect, ...]) -> None:
        for effect in effects:
            if isinstance(effect, StartInstance):
                assert effect.instance not in self.living, "a second life was started beside the first"
                self.living[effect.instance] = effect.epoch
            elif isinstance(effect, SendCommand | KillInstance):
                assert self.living.get(effect.instance) == effect.epoch, "a life that is over was addressed"

    def note(self, event: Event) -> None:
        if isinstance(event, Exited) and self.living.get(event.instance) == event.epoch:
            del self.living[event.instance]


def play(story: list[Chapter]) -> tuple[JobState, Processes, float]:
    """Play the story, each event twice, and check what must hold at every point of any story."""
    now = 0.0
    state, effects = step(None, JobSubmitted("job", CYCLE), now)
    processes = Processes()
    processes.do(effects)
    for chapter in story:
        now += chapter.after_s
        event = event_of(chapter, state)
        if event is None:
            continue
        processes.note(event)
        before = state
        state, effects = step(before, event, now)
        processes.do(effects)
        assert state.ended == before.ended or _cycle_works(state), "a cycle ended too early"
        again, nothing = step(state, event, now)
        assert again == state, "an event that came twice changed something"
        assert nothing == (), "an event that came twice had an effect"
        assert state.phase.ended == (not _open(state)), "a job ends exactly when its last instance is gone"
        assert not (state.phase.ended and processes.living), "an ended job has a living instance"
        _flows_are_in_order(before, state)
    return state, processes, now


def _flows_are_in_order(before: JobState, state: JobState) -> None:
    numbers = [version.number for version in state.plan.versions]
    assert numbers == list(range(numbers[0], numbers[-1] + 1)), "versions end and begin in their order"
    assert len(numbers) + (state.proposal is not None) <= limits.FLOW_VERSIONS_MAX
    changed = (before.plan, before.proposal) != (state.plan, state.proposal)
    assert state.wired == before.wired + changed, "each change of what instances are to know has a number of its own"
    canary = state.plan.canary
    assert canary is None or canary.version == state.plan.newest.number == state.plan.current.number + 1
    promoted = before.plan.canary is not None and state.plan.current == before.plan.newest
    if state.plan.newest != before.plan.newest and not promoted:
        deaf = [r for r in before.instances.values() if r.phase.living and r.heard and r.wired < before.wired]
        assert all(r.phase is InstancePhase.ENDED for r in deaf), "a version is in force before all know it"


def _cycle_works(state: JobState) -> bool:
    """Every instance of the cycle is there and was heard."""
    members = [state.instances[name] for name in ("first-0", "second-0", "second-1")]
    return all(record.phase in (InstancePhase.RUNNING, InstancePhase.DRAINING) for record in members)


def _open(state: JobState) -> list[str]:
    return [name for name, record in state.instances.items() if not record.phase.gone]


@given(stories)
def test_no_story_breaks_the_tables_or_starts_a_second_life_or_means_something_else_when_told_twice(
    story: list[Chapter],
) -> None:
    play(story)


@given(stories)
def test_a_kill_ends_every_story_once_the_processes_are_gone(story: list[Chapter]) -> None:
    state, processes, now = play(story)
    state, effects = step(state, Asked(Ask.KILL), now)
    processes.do(effects)
    for instance, epoch in processes.living.items():
        state, _ = step(state, Exited(instance, epoch, -9), now)
    assert state.phase.ended


@given(stories)
def test_a_drain_ends_every_story_in_bounded_time_however_deaf_the_instances_are(story: list[Chapter]) -> None:
    state, processes, now = play(story)
    state, _ = step(state, Asked(Ask.DRAIN), now)
    state, effects = step(state, Ticked(), now + limits.DRAIN_S)
    processes.do(effects)
    for instance, epoch in processes.living.items():
        state, _ = step(state, Exited(instance, epoch, -9), now + limits.DRAIN_S)
    assert state.phase.ended


@given(stories)
def test_an_update_comes_to_its_end_in_every_story_that_ends_well(story: list[Chapter]) -> None:
    """Once all do as they are told: it is there, or back, and every instance is of a generation that the job has."""
    state, _, now = play(story)
    for _ in range(100):
        if state.update is None:
            break
        now += 1.0
        for record in state.instances.values():
            if (event := well_behaved(record, state)) is not None:
                state, _ = step(state, event, now)
        state, _ = step(state, Ticked(), now)
    assert state.update is None
    if state.phase is JobPhase.RUNNING:
        undone = {one.generation for one in state.updates if one.error and not one.refused}
        left = [r.instance for r in state.instances.values() if not r.phase.gone and r.generation in undone]
        assert left == []


def well_behaved(record: InstanceRecord, state: JobState) -> Event | None:
    """What a living instance says or does that is well, and as it was told."""
    if not record.phase.living:
        return None
    if record.phase is InstancePhase.ENDED:
        return Exited(record.instance, record.epoch, 0)
    if record.renewing:
        return Exited(record.instance, record.epoch, 6, renewed=True)
    return Reported(
        InstanceSample(
            record.instance, record.node, record.epoch, InstanceState.RUNNING, endpoint="tcp://x",
            wiring=state.wired, oldest_version=state.plan.current.number,
        )
    )  # fmt: skip
