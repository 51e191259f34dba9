"""`streamer tap`: the messages of an edge as they pass, one line of JSON each, and nothing of the job is touched.

The command connects to the instances that send over the edge, as their consumers do, but asks as a tap: it is shown
copies, and what it has no room for passes without it (see `streamer.runtime.taps`). Where these instances are stands in
the control log, so instances that come, move and go are found there, and it does not matter who supervises the job. The
command takes what it was shown, prints it, and only then says that it has room again: its own slowness, or that of
whoever reads its output, is what samples a fast edge.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from math import inf
from typing import Any

from streamer import clock
from streamer.cli.exits import OK
from streamer.cli.jobs import Jobs, nearest, opened_jobs
from streamer.cli.output import forget_stdout, has_reader, say_json, tell
from streamer.connectors.json_form import to_json
from streamer.control.records import InstanceLine, KeptJob
from streamer.errors import NoSuchJobError, OptionError, PeerError, StreamerError, TapError
from streamer.limits import TAP_PACE_S, TAP_RENEW_S, TAPS_MAX
from streamer.protocol.codec import UNPACK_ERRORS, BadBody, unpack, unpack_each
from streamer.protocol.frames import Data, Kind, decode_data, kind_of
from streamer.protocol.tapping import Tap, encode_tap
from streamer.transport.base import Connection, Parts
from streamer.transport.zeromq import ZmqTransport

_LOOK_S = 0.5
"""How often the control log is asked where the instances are."""
_LAST_S = 0.2
"""What an instance sent at its end is here when its end is in the log, or within this time."""
_TAP_NUMBER_BITS = 56


def tap(name: str, edge: str, *, count: int | None) -> int:
    """Show `count` messages, or all until the job has ended, Ctrl-C, or nobody reads any more."""
    try:
        with opened_jobs() as jobs:
            kept = jobs.find(name)
            source, target = _meant(kept, edge)
            if not kept.line.live:
                raise TapError(f"job {kept.job} is {kept.line.status}: nothing passes over its edges any more")
            with closing(_Watch(kept.line.facts.token, source, target)) as watch:
                for shown, message in enumerate(_live(jobs, kept, watch), 1):
                    say_json(to_json(message))
                    if shown == count:
                        return OK
    except KeyboardInterrupt:
        return OK
    except BrokenPipeError:
        forget_stdout()
    return OK


def _live(jobs: Jobs, kept: KeptJob, watch: _Watch) -> Iterator[Any]:
    """Messages as they come."""
    while kept.line.live:
        watch.meet(kept.instances)
        looked_at = clock.now()
        while clock.now() - looked_at < _LOOK_S:
            if not has_reader():
                return
            yield from watch.messages()
        kept = jobs.later(kept)
    heard_at = clock.now()
    while clock.now() - heard_at < _LAST_S:
        for message in watch.messages():
            heard_at = clock.now()
            yield message
    tell(f"job {kept.job} is {kept.line.status}")


# -- which edge ------------------------------------------------------------------------------------------------------


def _meant(kept: KeptJob, text: str) -> tuple[str, str]:
    """Source and target of an edge of the job. Raises OptionError or NoSuchJobError."""
    edges = [(name, output.target) for name, node in kept.plan.nodes.items() for output in node.outputs]
    ways = [(text[:at], text[at + 1 :]) for at, letter in enumerate(text) if letter == ":"]  # names may hold colons
    for way in ways:
        if way in edges:
            return way
    raise _no_edge(kept, text, ways, [f"{source}:{target}" for source, target in edges])


def _no_edge(kept: KeptJob, text: str, ways: list[tuple[str, str]], edges: list[str]) -> StreamerError:
    if not ways:
        return OptionError(
            f"{text!r} names no edge", remedy=f"Write it as SOURCE:TARGET. The edges are {_told(edges)}."
        )
    nodes = list(kept.plan.nodes)
    named = next((way for way in ways if way[0] in nodes), ways[0])
    for node in named:
        if node not in nodes:
            return NoSuchJobError(
                f"pipeline {kept.plan.pipeline} has no node {node}{nearest(node, nodes)}",
                remedy=f"Its edges are {_told(edges)}.",
            )
    return NoSuchJobError(
        f"pipeline {kept.plan.pipeline} has no edge {text}{nearest(text, edges)}",
        remedy=f"Its edges are {_told(edges)}.",
    )


def _told(edges: list[str]) -> str:
    return ", ".join(edges) or "none"


# -- at the instances ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Line:
    """The tap at one instance, as long as that stays where it is."""

    instance: str
    connection: Connection
    number: int
    taken_messages: int = 0
    taken_bytes: int = 0
    said: tuple[int, int] = (0, 0)
    said_at: float = -inf
    going: bool = False
    refused: bool = False

    def take(self, parts: Parts) -> Data | None:
        """A frame of messages; anything else gives None."""
        self.taken_bytes += sum(map(len, parts))
        try:
            if kind_of(parts) is Kind.DATA:
                data = decode_data(parts)
                self.taken_messages += data.count
                return data
            if kind_of(parts) is Kind.REFUSED and not self.refused:
                self.refused = True
                tell(
                    f"instance {self.instance} does not let this edge be watched now (it serves {TAPS_MAX} taps at "
                    "most); it is asked again"
                )
        except PeerError as error:
            tell(f"a frame of instance {self.instance} is not shown: {error}")
        return None


class _Watch:
    """All instances that send over one edge."""

    def __init__(self, token: str, source: str, target: str) -> None:
        self._token = token
        self._source = source
        self._target = target
        self._transport = ZmqTransport(token)
        self._lines: dict[tuple[str, str], _Line] = {}

    def meet(self, instances: Iterable[InstanceLine]) -> None:
        """The instances of the job are these now. What one that has gone had sent has one more look to arrive."""
        there = {
            (line.instance, line.endpoint)
            for line in instances
            if line.node == self._source and line.endpoint and not line.phase.gone
        }
        for place, line in list(self._lines.items()):
            if place in there:
                line.going = False
            elif line.going:
                line.connection.close()
                del self._lines[place]
            else:
                line.going = True
        for instance, endpoint in there - self._lines.keys():
            connection = self._transport.connect(endpoint)
            self._lines[instance, endpoint] = _Line(instance, connection, secrets.randbits(_TAP_NUMBER_BITS))

    def messages(self) -> Iterator[Any]:
        """What has come; waits a little for it."""
        self._speak()
        self._transport.wait(TAP_PACE_S)
        for line in self._lines.values():
            while (parts := line.connection.receive()) is not None:
                if (data := line.take(parts)) is not None:
                    yield from _unpacked(data)

    def _speak(self) -> None:
        """Say to each instance that there is room, if that is news or was not said for long."""
        now = clock.now()
        for line in self._lines.values():
            taken = line.taken_messages, line.taken_bytes
            due = now - line.said_at >= (TAP_RENEW_S if taken == line.said else TAP_PACE_S)
            if due and line.connection.send(encode_tap(self._tap(line))):
                line.said, line.said_at = taken, now

    def _tap(self, line: _Line, *, over: bool = False) -> Tap:
        return Tap(self._token, self._target, line.number, line.taken_messages, line.taken_bytes, over)

    def close(self) -> None:
        for line in self._lines.values():
            line.connection.send(encode_tap(self._tap(line, over=True)))
        self._transport.close()


def _unpacked(data: Data) -> list[Any]:
    """The messages of a frame; one that does not unpack is its bytes, without the buffers beside it."""
    try:
        return unpack(data.body, data.buffers)
    except UNPACK_ERRORS:
        return [one.blob if isinstance(one, BadBody) else one for one in unpack_each(data.body, data.count)]
