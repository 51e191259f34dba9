"""How jobs end when something happens at their end."""

from __future__ import annotations

from streamer.runtime.stage import Stage
from streamer.testing.nemesis import Drain, KillAtEnd
from tests.simulation.scenes import scene


def test_a_source_that_comes_back_after_its_consumers_have_completed_reads_nothing_new() -> None:
    play = scene("direct", Drain(0.4), KillAtEnd(0.35, "s-0", Stage.ENDED, 0), records=100)

    world = play.run()  # which finds that no record counts as settled that no sink got

    (edge,) = world.account().edges
    assert world.deaths == {"s-0": 1}
    assert 0 < edge.settled < 100
    assert edge.settled == len(world.disks["out-0"].written)
