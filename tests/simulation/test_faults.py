"""Links and instances that are slow, silent or cut: what must come of it, and how soon."""

from __future__ import annotations

import pytest

from streamer.limits import SESSION_TIMEOUT_S
from streamer.testing.nemesis import Gap, Partition, Stop, Wedge
from streamer.testing.network import Way
from streamer.testing.play import Play
from tests.simulation.scenes import scene


def redelivered(play: Play, source: str, target: str) -> int:
    world = play.run()
    return next(e.redelivered for e in world.account().edges if (e.source, e.target) == (source, target))


def test_a_job_to_which_nothing_happens_sends_each_message_once() -> None:
    world = scene("diamond", replicas={"a": 3, "b": 2}).run()  # which compares it with the walk, to the message

    assert sum(edge.redelivered for edge in world.account().edges) == 0


def test_an_instance_that_is_silent_for_less_than_the_timeout_keeps_its_messages() -> None:
    silent = Stop(0.4, "b-0", SESSION_TIMEOUT_S - 2.0)

    assert redelivered(scene("chain", silent, replicas={"b": 2}), "a", "b") == 0


def test_the_messages_of_an_instance_that_is_silent_for_longer_go_to_others() -> None:
    silent = Stop(0.4, "b-0", SESSION_TIMEOUT_S + 5.0)
    play = scene("chain", silent, replicas={"b": 2}, records=40)

    assert redelivered(play, "a", "b") > 0


def test_a_handler_that_takes_longer_than_the_timeout_keeps_its_messages() -> None:
    """The control thread says meanwhile that the process lives."""
    busy = Wedge(0.4, "b-0", SESSION_TIMEOUT_S + 5.0)

    assert redelivered(scene("chain", busy, replicas={"b": 2}, records=40), "a", "b") == 0


@pytest.mark.parametrize("shape", ["direct", "lossy"])
@pytest.mark.parametrize("frames", [1, 2, 4])
def test_frames_that_are_lost_at_the_end_of_a_link_do_not_stop_the_job(shape: str, frames: int) -> None:
    """Links are chosen by their place among all; the last ones carry the last frames and END."""
    for tenths in range(10):
        world = scene(shape, Gap(0.3, tenths / 10, Way.DOWN, frames), records=2, interval_s=0.0).run()

        assert world.clock.elapsed_s < (frames + 2) * SESSION_TIMEOUT_S


@pytest.mark.parametrize("for_s", [1.0, 5.0, 12.0])
def test_a_partition_of_any_length_only_takes_time(for_s: float) -> None:
    world = scene("chain", Partition(0.35, "a-0", "b-0", for_s)).run()

    assert world.clock.elapsed_s < for_s + 2 * SESSION_TIMEOUT_S


def test_a_stopped_source_does_not_lose_its_place() -> None:
    world = scene("two", Stop(0.3, "s-0", 3.0), Stop(0.3, "t-0", 9.0)).run()

    assert [node.received for node in world.account().nodes if node.node in ("s", "t")] == [20, 20]
