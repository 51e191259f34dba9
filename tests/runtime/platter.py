"""A disk for entry logs that is as slow, and as full, as a test wants it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from errno import ENOSPC

from streamer.state.log_segment import Group
from streamer.testing.disk import messages_of


class Platter:
    """A disk whose latency is the test's: a group is on it once `write` was called."""

    def __init__(self) -> None:
        self.entry: list[Group] = []
        self.begun: Group | None = None
        self.error: OSError | None = None
        self.cuts: list[int] = []

    first = 0
    size = 0

    @property
    def next(self) -> int:
        return self.entry[-1].end if self.entry else 0

    def groups(self, floor: int) -> Iterator[Group]:
        return iter([group for group in self.entry if group.end > floor])

    def begin(self, end: int, payload: Sequence[bytes], wake: Callable[[], None]) -> None:  # noqa: ARG002
        assert self.begun is None, "one group at a time"
        self.begun = Group(self.next, end, b"".join(payload))

    def write(self) -> list[object]:
        """What is on its way gets there; gives its messages."""
        assert self.begun is not None
        self.entry.append(self.begun)
        self.begun = None
        return messages_of(self.entry[-1:])

    def fail(self) -> None:
        self.begun, self.error = None, OSError(ENOSPC, os.strerror(ENOSPC))

    def done(self) -> bool:
        if (error := self.error) is not None:
            self.error = None
            raise error
        return self.begun is None

    def cut(self, floor: int) -> None:
        assert self.begun is None
        self.cuts.append(floor)

    def close(self, floor: int) -> None: ...
