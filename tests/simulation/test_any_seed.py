"""Any seed of any shape: whatever happens on the way, each message is accounted for, and none is lost.

What is watched stands in `streamer.testing.promises`, what must come of a job in `streamer.testing.outcome`. A failure
names the command that plays it again. `.ci/run` plays more seeds, and `make soak-simulated` as many as an hour has
room for.
"""

from __future__ import annotations

import pytest

from streamer.testing.play import play_of
from streamer.testing.promises import PromiseError
from streamer.testing.shapes import SHAPES

_SEEDS = range(30)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_promise_is_kept_under_any_faults(shape: str) -> None:
    broken = []
    for seed in _SEEDS:
        try:
            play_of(SHAPES[shape], seed).run()
        except PromiseError as error:
            broken.append(f"{error}\n  again: python -m streamer.testing --shape {shape} --seed {seed}")
    assert not broken, "\n".join(broken)


def test_a_play_comes_out_the_same_each_time() -> None:
    shape = SHAPES["diamond"]

    first, second = (play_of(shape, 8).run() for _ in range(2))

    assert first.account() == second.account()
    assert (first.steps, first.clock.now()) == (second.steps, second.clock.now())
    assert {name: disk.written for name, disk in first.disks.items()} == {
        name: disk.written for name, disk in second.disks.items()
    }
