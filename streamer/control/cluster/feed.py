"""Reading and writing the log beside a loop that must never wait for it.

A broker that is away keeps whoever asks it waiting for seconds, and a controller or an agent has other work: processes
end, sockets fill. So each log object that may wait has a thread of its own here, and the loop only takes what has come
and leaves what is to go. Of what is to go the newest of each key is enough, since all of it is reports.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Condition, Event, Thread
from typing import Protocol

from streamer.cluster_limits import AGENT_BEAT_S, CONTROLLER_RETRY_S
from streamer.errors import LogError, StateError
from streamer.log.base import BEGINNING, ControlLog, Entry, Follower, Position, Record
from streamer.log.topics import Topic

OpenLog = Callable[[], ControlLog]


class Feed(Protocol):
    """`caught_up`: all that was there when it began has been taken."""

    caught_up: bool

    def take(self) -> Sequence[Record]:
        """What has come since the last call; never waits."""

    def close(self) -> None: ...


class Post(Protocol):
    def leave(self, entries: Sequence[Entry]) -> None:
        """Append these when it can be; a newer one of the same key takes the place of an older one."""

    def close(self) -> None: ...


class PolledFeed:
    """For a log that never keeps anybody waiting."""

    def __init__(self, follower: Follower) -> None:
        self.caught_up = False
        self._follower = follower

    def take(self) -> Sequence[Record]:
        records: list[Record] = []
        while news := self._follower.poll(0.0):
            records += news
        self.caught_up = True
        return records

    def close(self) -> None:
        self._follower.close()


class DirectPost:
    """For a log that never keeps anybody waiting."""

    def __init__(self, log: ControlLog) -> None:
        self._log = log

    def leave(self, entries: Sequence[Entry]) -> None:
        self._log.append_all(entries)

    def close(self) -> None:
        """Nothing is held."""


class ThreadFeed:
    """Follows with a log of its own. `complain` hears why nothing comes, once each time."""

    def __init__(
        self,
        open_log: OpenLog,
        topics: Sequence[Topic],
        complain: Callable[[str], None],
        *,
        scope: str | None = None,
        from_now: bool = False,
    ) -> None:
        self.caught_up = False
        self._open_log = open_log
        self._topics = topics
        self._complain = complain
        self._scope = scope
        self._from_now = from_now
        self._queue: SimpleQueue[Record | None] = SimpleQueue()
        self._closed = Event()
        self._thread = Thread(target=self._serve, name=f"feed of {', '.join(topics)}", daemon=True)
        self._thread.start()

    def take(self) -> Sequence[Record]:
        records: list[Record] = []
        while True:
            try:
                record = self._queue.get_nowait()
            except Empty:
                return records
            if record is None:
                self.caught_up = True
            else:
                records.append(record)

    def close(self) -> None:
        self._closed.set()
        self._thread.join(AGENT_BEAT_S)

    def _serve(self) -> None:
        after: Position | None = None
        while not self._closed.is_set():
            try:
                log = self._open_log()
            except (LogError, StateError) as error:
                self._complain(f"{error}")
                self._closed.wait(CONTROLLER_RETRY_S)
                continue
            try:
                if after is None:
                    after = log.end(self._topics) if self._from_now else BEGINNING
                after = self._followed(log, after)
            except LogError as error:
                self._complain(f"{error}")
                self._closed.wait(CONTROLLER_RETRY_S)
            finally:
                log.close()

    def _followed(self, log: ControlLog, after: Position) -> Position:
        """Until it is closed; gives the position behind all that was handed over, also where the log has failed."""
        follower = log.follow(self._topics, after, scope=self._scope)
        told = False
        try:
            while not self._closed.is_set():
                records = follower.poll(0.0 if not told else AGENT_BEAT_S)
                for record in records:
                    self._queue.put(record)
                after = follower.position
                if not records and not told:
                    told = True
                    self._queue.put(None)
        finally:
            follower.close()
        return after


class ThreadPost:
    """Appends with a log of its own, and tries again until it can. `complain` hears why not, once each time."""

    def __init__(self, open_log: OpenLog, complain: Callable[[str], None]) -> None:
        self._open_log = open_log
        self._complain = complain
        self._waiting: dict[tuple[Topic, str], Entry] = {}
        self._changed = Condition()
        self._closed = False
        self._thread = Thread(target=self._serve, name="post", daemon=True)
        self._thread.start()

    def leave(self, entries: Sequence[Entry]) -> None:
        with self._changed:
            self._waiting.update(((entry.topic, entry.key), entry) for entry in entries)
            self._changed.notify()

    def close(self) -> None:
        """What waits is sent if that can be done at once."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(AGENT_BEAT_S)

    def _serve(self) -> None:
        log: ControlLog | None = None
        while (entries := self._next()) is not None:
            try:
                log = log or self._open_log()
                log.append_all(entries)
            except (LogError, StateError) as error:
                self._complain(f"{error}")
                with self._changed:
                    if self._changed.wait_for(lambda: self._closed, CONTROLLER_RETRY_S):
                        break
                    newer = self._waiting
                    self._waiting = {(entry.topic, entry.key): entry for entry in entries} | newer
        if log is not None:
            log.close()

    def _next(self) -> list[Entry] | None:
        """All that waits; None once it is closed and nothing does."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            entries = list(self._waiting.values())
            self._waiting = {}
        return entries or None
