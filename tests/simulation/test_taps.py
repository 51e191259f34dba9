"""Taps on every edge of a job that is cut, killed and slowed down: no promise to anybody else is broken by them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from streamer.protocol.codec import unpack
from streamer.protocol.frames import Kind, decode_data, kind_of
from streamer.protocol.tapping import Tap, encode_tap
from streamer.testing.keyed import text_of
from streamer.testing.life import Life
from streamer.testing.network import SimConnection
from streamer.testing.outcome import judge
from streamer.testing.play import LIMIT_S, play_of
from streamer.testing.shapes import SHAPES
from streamer.testing.world import World

_SEEDS = range(3)
_LOOK_S = 0.01
_RARER = 1 / 50
"""Short jobs are looked at often, and long ones not all the time."""


@dataclass
class Line:
    """A tap of one edge of one life."""

    connection: SimConnection
    number: int
    target: str
    messages: int = 0
    size: int = 0

    def speak(self) -> None:
        self.connection.send(encode_tap(Tap("secret", self.target, self.number, self.messages, self.size)))

    def take(self) -> Iterator[object]:
        while (parts := self.connection.receive()) is not None:
            if kind_of(parts) is Kind.DATA:
                data = decode_data(parts)
                self.messages += data.count
                self.size += sum(map(len, parts))
                yield from map(text_of, unpack(data.body))


@dataclass
class Onlooker:
    """A process that taps all edges of a job; one that does not read only goes on saying that it is there."""

    world: World
    reads: bool
    name: str = "onlooker"
    seen: set[object] = field(default_factory=set)
    lines: dict[tuple[str, int, str], Line] = field(default_factory=dict)

    def look(self) -> None:
        for life in self.world.lives.values():
            if life.alive and life.begun:
                self._look_at(life)
        self.world.clock.after(_LOOK_S + _RARER * self.world.clock.elapsed_s, self.look)

    def _look_at(self, life: Life) -> None:
        for edge in life.instance.outbox.edges:
            place = (life.name, life.assignment.epoch, edge.target)
            if place not in self.lines:
                connection = self.world.network.connect(self, life.instance.endpoint)
                self.lines[place] = Line(connection, len(self.lines) + 1, edge.target)
            if self.reads:
                self.seen.update(self.lines[place].take())
            self.lines[place].speak()

    def now(self) -> float:
        return self.world.clock.now()

    def wake_at(self, time_s: float) -> None:
        """It looks by itself."""

    def operate(self) -> None:
        """It is never killed."""

    def wait(self, timeout_s: float) -> None:
        """It never waits."""


@pytest.mark.parametrize("reads", [pytest.param(True, id="read"), pytest.param(False, id="never read")])
@pytest.mark.parametrize("shape", SHAPES)
def test_with_all_its_edges_tapped_a_job_keeps_every_promise(shape: str, reads: bool) -> None:
    seen: set[object] = set()
    for seed in _SEEDS:
        play = play_of(SHAPES[shape], seed)
        world = play.world()
        onlooker = Onlooker(world, reads)
        world.clock.after(0.0, onlooker.look)
        world.run(LIMIT_S)
        judge(world, play.cast, calm=play.calm, drained=play.choices.malice.drained)
        assert onlooker.lines
        assert onlooker.seen <= world.watch.frames_with.keys(), "what a tap is shown was sent to a consumer"
        seen |= onlooker.seen

    assert bool(seen) == reads
