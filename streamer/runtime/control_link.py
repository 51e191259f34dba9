"""The slow thread of an instance: reports, commands, pulses, and the watch over the supervising process.

It has sockets of its own, so that the message thread never waits for it. It says that the process lives while a handler
is busy for longer than a heartbeat (a *pulse* for each session, on a connection of its own to each parent): without
it, one slow handler call would look like a death, and its messages would be sent to others.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterable
from threading import Event, Thread
from typing import NamedTuple

import msgpack
import zmq

from streamer import clock
from streamer.limits import HEARTBEAT_S, REPORT_CALM_S, REPORT_S
from streamer.metrics.samples import InstanceSample
from streamer.plan.assignment import SUPERVISOR_VARIABLE, Command, Verb
from streamer.protocol.frames import Kind, encode_short
from streamer.transport.curve import secure

_ORPHANED = 4
"""Exit code of an instance whose supervising process has gone."""
_RECONNECT_MAX_MS = 500
_LOOK_S = 0.05
"""How often it is looked whether facts have changed, if they have or something new was said in the last `_CALM_S`; else
with each report: an instance that does nothing is to cost little."""
_CALM_S = 2.0
_UNREACHABLE = 1
"""Exit code of an instance whose control thread has failed."""


class Reports(NamedTuple):
    """What was told last. While `progress` is the same, and not None, nothing happens, and less is told."""

    at: float = 0.0
    facts: object = None
    progress: object = None

    def due(self, now: float, facts: object, progress: object) -> bool:
        calm = progress is not None and progress == self.progress
        return facts != self.facts or now >= self.at + (REPORT_CALM_S if calm else REPORT_S)


class ControlLink:
    """`facts` cost less than a whole `sample`: those whose change is told at once, and progress (see `Reports`).

    `sessions` gives (endpoint of the parent, session number); `beat_at` when the message thread beat last.

    `alone`: the instance outlives the process that supervises it; another one will listen at the same endpoint.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        token: str,
        sample: Callable[[], InstanceSample],
        facts: Callable[[], tuple[object, object]],
        command: Callable[[Command], None],
        sessions: Callable[[], Iterable[tuple[str, int]]],
        beat_at: Callable[[], float],
        *,
        alone: bool,
    ) -> None:
        self._context = context
        self._endpoint = endpoint
        self._token = token.encode()
        self._sample = sample
        self._facts = facts
        self._command = command
        self._sessions = sessions
        self._beat_at = beat_at
        self._words: dict[Verb, bytes] = {}
        """The last of each verb as it came: all are said again and again."""
        self._pulses: dict[str, zmq.Socket[bytes]] = {}
        self._parent = None if alone else int(os.environ.get(SUPERVISOR_VARIABLE, os.getppid()))
        self._over = Event()
        self._thread = Thread(target=self._serve_or_die, name="control", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Send a last report and end."""
        self._over.set()
        self._thread.join()

    def _serve_or_die(self) -> None:
        """An instance that nobody can reach any more must not go on: a new life follows."""
        in_order = False
        try:
            self._serve()
            in_order = True
        finally:
            if not in_order:
                traceback.print_exc()
                os._exit(_UNREACHABLE)

    def _serve(self) -> None:
        socket = self._context.socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 1_000)
        # while nobody supervises, samples are dropped: a full queue would stop this thread, and with it the pulses
        socket.setsockopt(zmq.IMMEDIATE, 1)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT_MAX_MS)
        socket.connect(self._endpoint)
        reports = Reports()
        pulse_at = changed_at = 0.0
        while True:
            over = self._over.is_set()
            now = clock.now()
            facts, progress = self._facts()
            if facts != reports.facts:
                changed_at = now
            if (over or reports.due(now, facts, progress)) and self._told(socket, self._sample()):
                reports = Reports(now, facts, progress)
            if over:
                break
            if self._parent is not None and os.getppid() != self._parent:
                os._exit(_ORPHANED)
            if now >= pulse_at:
                pulse_at = now + HEARTBEAT_S
                if now - self._beat_at() > 2 * HEARTBEAT_S:
                    self._pulse()
            if socket.poll(int(1000 * (REPORT_S if now - changed_at > _CALM_S else _LOOK_S))):
                # one at a time, so that a controller with much to say keeps no report and no pulse back
                changed_at = now if self._hear(socket.recv()) else changed_at
        for pulse in self._pulses.values():
            pulse.close(0)
        socket.close()

    def _hear(self, word: bytes) -> bool:
        """Whether it is a new one: facts are about to change then, and somebody waits for that."""
        command = Command.from_wire(msgpack.unpackb(word))
        is_new = word != self._words.get(command.verb)
        self._words[command.verb] = word
        self._command(command)
        return is_new

    def _told(self, socket: zmq.Socket[bytes], sample: InstanceSample) -> bool:
        try:
            socket.send_multipart([self._token, msgpack.packb(sample.to_wire())], zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def _pulse(self) -> None:
        for endpoint, number in self._sessions():
            socket = self._pulses.get(endpoint)
            if socket is None:
                socket = self._pulses[endpoint] = self._context.socket(zmq.DEALER)
                socket.setsockopt(zmq.LINGER, 0)
                socket.setsockopt(zmq.IMMEDIATE, 1)
                secure(socket, endpoint, self._token.decode(), server=False)
                socket.connect(endpoint)
            try:
                socket.send_multipart(encode_short(Kind.PULSE, number), zmq.NOBLOCK)
            except zmq.Again:
                continue  # not connected yet: the next pulse comes in a heartbeat
