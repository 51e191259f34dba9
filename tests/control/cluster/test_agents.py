"""Who is there and who is gone, as a controller hears it, and what has room: by a clock of the test."""

from __future__ import annotations

from dataclasses import replace

from streamer.cluster_limits import (
    AGENT_BEAT_S,
    AGENT_GONE_S,
    AGENT_RETURNS_S,
)
from streamer.control.cluster.agents import Agents, for_job
from streamer.control.cluster.wire import Beat, beat_entry, beat_of
from streamer.control.records import JobFacts
from streamer.descriptor.resources import Needs, parse_capacity
from streamer.log.base import Record


class _Room:
    """Time passes in beats; whoever is `speaking` is heard with each."""

    def __init__(self) -> None:
        self.now = 100.0
        self.agents = Agents(lambda: self.now)

    def passes(self, seconds: float, *speaking: str, deaf: bool = False) -> None:
        for _ in range(round(seconds / AGENT_BEAT_S)):
            self.now += AGENT_BEAT_S
            if not deaf:
                self.agents.heard_ourselves()
                for name in speaking:
                    self.agents.heard(Beat(name, "127.0.0.1", f"home of {name}"))


def test_an_agent_that_is_silent_while_we_hear_ourselves_is_gone() -> None:
    room = _Room()
    room.passes(2 * AGENT_GONE_S, "a", "b")
    assert set(room.agents.there()) == {"a", "b"}
    room.passes(AGENT_GONE_S - AGENT_BEAT_S, "b")
    assert not room.agents.is_gone("a")
    room.passes(AGENT_BEAT_S, "b")
    assert room.agents.is_gone("a")
    assert set(room.agents.there()) == {"b"}
    room.passes(AGENT_BEAT_S, "a", "b")
    assert not room.agents.is_gone("a")


def test_while_no_broker_is_there_nobody_is_gone_and_afterwards_all_have_time_to_come_back() -> None:
    room = _Room()
    room.passes(2 * AGENT_GONE_S, "a")
    room.passes(60.0, deaf=True)
    assert not room.agents.is_gone("a")
    room.passes(AGENT_RETURNS_S - AGENT_BEAT_S)
    assert not room.agents.is_gone("a")
    room.passes(AGENT_GONE_S)
    assert room.agents.is_gone("a")


def test_one_that_a_controller_has_never_heard_is_gone_after_the_same_time() -> None:
    """It may have died with the controller before."""
    room = _Room()
    room.passes(AGENT_GONE_S - AGENT_BEAT_S)
    assert not room.agents.is_gone("unheard")
    room.passes(AGENT_BEAT_S)
    assert room.agents.is_gone("unheard")


def test_what_is_kept_in_a_folder_of_two_is_not_lost_with_one() -> None:
    room = _Room()
    room.agents.heard(Beat("a", "127.0.0.1", "one folder"))
    room.agents.heard(Beat("b", "127.0.0.1", "one folder"))
    room.agents.heard(Beat("c", "127.0.0.1", "its own"))
    assert room.agents.is_shared("a")
    assert not room.agents.is_shared("c")


def test_an_agent_tells_its_accelerators_by_kind() -> None:
    beat = Beat("a", "127.0.0.1", "home", parse_capacity("gpu:l4=2"), Needs(gpu=1.0, kinds={"l4": 1.0}))
    entry = beat_entry(beat)

    assert beat_of(Record(entry.topic, 0, 0, entry.key, entry.value, None, 0.0)) == beat


def test_the_agent_of_a_run_is_for_its_job_alone_and_a_job_of_a_run_for_its_agent() -> None:
    beats = {name: Beat(name, "127.0.0.1", name, of_run=name.startswith("run")) for name in ("a", "run-1", "run-2")}
    facts = JobFacts("job", "words", "token", "", "", 0.0, detached=True)

    assert set(for_job(beats, facts)) == {"a"}
    assert set(for_job(beats, replace(facts, run_by="run-1"))) == {"run-1"}
