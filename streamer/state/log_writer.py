"""The thread that waits for the disk, so that the message thread need not.

While one group is on its way to the disk the next one is collected, which is all that group commit is: whatever the
disk's latency, there is one `fdatasync` at a time, and it covers what came during the one before. The message thread
hands a group over and goes on serving its wire; when the group is safe it is woken, and only then are messages sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from threading import Thread

from streamer.state.entry_log import EntryLog
from streamer.state.log_segment import Group

_Order = tuple[int, Sequence[bytes], Callable[[], None]]


class LogWriter:
    """The entry log of a running instance. All calls come under one lock."""

    def __init__(self, log: EntryLog) -> None:
        self._log = log
        self._orders: SimpleQueue[_Order | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._done = False
        self._error: OSError | None = None

    @property
    def first(self) -> int:
        return self._log.first

    @property
    def next(self) -> int:
        return self._log.next

    @property
    def size(self) -> int:
        return self._log.size

    def groups(self, floor: int) -> Iterator[Group]:
        return self._log.groups(floor)

    def begin(self, end: int, payload: Sequence[bytes], wake: Callable[[], None]) -> None:
        """Have a group appended; `wake` is called when it is done, and until then nothing else may be begun."""
        if self._thread is None:
            self._thread = Thread(target=self._serve, name="entry log", daemon=True)
            self._thread.start()
        self._done = False
        self._orders.put((end, payload, wake))

    def done(self) -> bool:
        """Whether the group is on the disk. Raises OSError if it could not get there: nothing of it is then."""
        if self._done and self._error is not None:
            raise self._error
        return self._done

    def cut(self, floor: int) -> None:
        """Delete what is settled; not while a group is on its way."""
        self._log.cut(floor)

    def close(self, floor: int) -> None:
        """Whatever was begun is done."""
        if self._thread is not None:
            self._orders.put(None)
            self._thread.join()
        self._log.close(floor)

    def _serve(self) -> None:
        while (order := self._orders.get()) is not None:
            end, payload, wake = order
            self._error = None
            try:
                self._log.append(end, payload)
            except OSError as error:
                self._error = error
            self._done = True
            wake()
