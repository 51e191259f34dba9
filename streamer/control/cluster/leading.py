"""The thread in which a controller leads its jobs: what is carried to it is done there, one after another.

The log's calls wait for brokers, and whoever carries events lives in an event loop that must answer its broker in time.
So they are handed over here. A command is answered for only once the log has what came of it, or has refused it for
good; until then whoever carries it may carry it again, to this controller or to the next one.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Event, Thread

from streamer import clock
from streamer.cluster_limits import (
    AGENT_LOOK_S,
    CONTROLLER_COMPACT_S,
    CONTROLLER_GATHER_S,
    CONTROLLER_RETRY_S,
)
from streamer.control.cluster.host import ClusterHost
from streamer.errors import LogError
from streamer.log.base import ControlLog, Record

_REPORTS_MAX = 10_000
"""Reports that wait here; what comes beyond them is left out, as the next one says it again."""

Led = Callable[[str], bool]


@dataclass(slots=True)
class _Carried:
    """`taken`: the host has it, and the log perhaps not yet."""

    record: Record
    done: Callable[[], None] | None
    taken: bool = False


class Leading:
    """`begin` makes the host in its thread; it raises LogError as long as there is no log."""

    def __init__(self, begin: Callable[[], tuple[ControlLog, ClusterHost]], complain: Callable[[str], None]) -> None:
        self._begin = begin
        self._complain = complain
        self._queue: SimpleQueue[_Carried | Led] = SimpleQueue()
        self._unkept: list[_Carried] = []
        self._is_mine: Led | None = None
        self._mine: Led | None = None
        """Set while the host does not know it."""
        self._closed = Event()
        self._compact_at = clock.now() + CONTROLLER_COMPACT_S
        self._thread = Thread(target=self._serve, name="leading", daemon=True)
        self._thread.start()

    def lead(self, is_mine: Led) -> None:
        """These jobs are its own from now on, and no others."""
        self._queue.put(is_mine)

    def carry(self, record: Record, done: Callable[[], None] | None = None) -> None:
        """`done` is called, in the thread, once the log has what came of it."""
        if done is not None or self._queue.qsize() < _REPORTS_MAX:
            self._queue.put(_Carried(record, done))

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _serve(self) -> None:
        """A defect costs this controller all that it has in hand, and it begins again: the log has the truth."""
        while (opened := self._opened()) is not None:
            log, host = opened
            try:
                self._lead_on(log, host)
            except Exception:  # noqa: BLE001  # supervising: jobs must be led, and people must hear of it
                self._complain(f"this is a defect of streamer, please report it:\n{traceback.format_exc()}")
                self._closed.wait(CONTROLLER_RETRY_S)
                self._mine = self._is_mine
            host.close()
            log.close()

    def _lead_on(self, log: ControlLog, host: ClusterHost) -> None:
        while not self._closed.is_set():
            try:
                self._turn(log, host)
            except LogError as error:
                self._complain(f"{error}")
                self._closed.wait(CONTROLLER_RETRY_S)

    def _opened(self) -> tuple[ControlLog, ClusterHost] | None:
        while not self._closed.is_set():
            try:
                return self._begin()
            except LogError as error:
                self._complain(f"{error}")
                self._closed.wait(CONTROLLER_RETRY_S)
        return None

    def _turn(self, log: ControlLog, host: ClusterHost) -> None:
        """Raises LogError: what was carried stays for the next one."""
        for item in self._taken():
            if isinstance(item, _Carried):
                self._unkept.append(item)
            else:
                self._mine = self._is_mine = item
        if self._mine is not None:
            host.lead(self._mine)
            self._mine = None
        while self._unkept and not self._unkept[0].taken:
            first = self._unkept[0]
            host.take(first.record)
            first.taken = True
            self._unkept.append(self._unkept.pop(0))
        host.tick()
        carried, self._unkept = self._unkept, []
        settled: list[Callable[[], None]] = []
        for item in carried:
            if item.done is not None and host.is_kept(item.record.scope):
                settled.append(item.done)
            elif item.done is not None:
                self._unkept.append(item)
        for done in settled:
            done()
        if clock.now() >= self._compact_at:
            self._compact_at = clock.now() + CONTROLLER_COMPACT_S
            log.compact()

    def _taken(self) -> list[_Carried | Led]:
        """All that waits; waits a moment itself if there is nothing.

        Reports of many instances come all the time, and each turn looks at every job: so they gather for a moment.
        """
        items: list[_Carried | Led] = []
        try:
            items.append(self._queue.get(timeout=AGENT_LOOK_S))
            if isinstance(items[0], _Carried) and items[0].done is None:
                self._closed.wait(CONTROLLER_GATHER_S)
            while True:
                items.append(self._queue.get_nowait())
        except Empty:
            return items
