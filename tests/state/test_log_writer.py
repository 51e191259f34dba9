"""The thread that waits for the disk: one group at a time, and word of each when it is done."""

from __future__ import annotations

import resource
from pathlib import Path
from threading import Event

import pytest

from streamer.state.entry_log import EntryLog
from streamer.state.log_writer import LogWriter

PATIENCE_S = 30.0


def written(writer: LogWriter, end: int, payload: bytes) -> bool:
    """Wait for a group. Raises what `done` raises."""
    woken = Event()
    writer.begin(end, [payload], woken.set)
    assert woken.wait(PATIENCE_S)
    return writer.done()


def test_a_group_is_in_the_log_when_it_is_done(tmp_path: Path) -> None:
    writer = LogWriter(EntryLog(tmp_path / "entry"))

    assert written(writer, 3, b"one")
    assert written(writer, 5, b"two")
    assert (writer.first, writer.next) == (0, 5)
    writer.close(-1)

    again = EntryLog(tmp_path / "entry")
    assert [(group.end, bytes(group.payload)) for group in again.groups()] == [(3, b"one"), (5, b"two")]
    again.close(-1)


def test_a_group_that_could_not_be_written_may_be_begun_again(tmp_path: Path) -> None:
    writer = LogWriter(EntryLog(tmp_path / "entry"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            written(writer, 3, b"one")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert written(writer, 3, b"one")
    writer.close(3)
