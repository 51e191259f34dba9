"""Standard input and output as source and sink, so that a pipeline can stand between two other programs.

What was read from a pipe is gone: the source is not replayable, and a restart goes on with what comes then. The
descriptors are shared with the terminal and with other programs, so they are never made non-blocking (the flag would
be theirs too): the source asks whether there is something before it reads.
"""

from __future__ import annotations

import os
import select
from collections.abc import Mapping, Sequence
from typing import Any

from streamer import limits
from streamer.connectors.base import START, Mark, Records
from streamer.connectors.decoders import decoder
from streamer.connectors.encoders import Format, encoder, format_of
from streamer.connectors.writing import write_all
from streamer.errors import ConnectorError


class StdinSource:
    """The records of a descriptor as they come; a last line without its end counts when the input ends."""

    replayable = False
    partition = "stdin"

    def __init__(self, spec: Mapping[str, Any], fd: int = 0) -> None:
        self._fd = fd
        self._format = format_of(spec, Format.TEXT)
        self._decoder = decoder(self._format, "stdin", START)
        self._poll = select.poll()
        self._dry = False
        self._finished = False
        self._ended = False

    @property
    def ended(self) -> bool:
        return self._ended

    def open(self, mark: Mark) -> None:
        """Numbers go on from `mark`; what was read before it does not come again."""
        if found := stdin_problems({}, self._fd):
            raise ConnectorError(" ".join(found))
        self._decoder = decoder(self._format, "stdin", mark)
        self._poll.register(self._fd, select.POLLIN)

    def read(self, limit: int, now: float) -> Records | None:  # noqa: ARG002 -- what comes decides, not the time
        self._dry = False
        while not self._ended:
            records = self._decoder.take(limit)
            if records is not None:
                return records
            if self._finished:
                self._ended = True
            elif not self._feed():
                break
        self._dry = True
        return None

    def wait_s(self, now: float) -> float | None:  # noqa: ARG002 -- what comes decides, not the time
        # Lines that are here already make no descriptor readable.
        return None if self._dry else 0.0

    def fileno(self) -> int | None:
        return self._fd

    def close(self) -> None:
        """The descriptor is not ours to close."""

    def _feed(self) -> bool:
        """Whether anything was there, its end included."""
        if not self._poll.poll(0):
            return False
        try:
            block = os.read(self._fd, limits.READ_BYTES)
        except BlockingIOError:  # another program that shares it was faster
            return False
        except OSError as error:
            raise ConnectorError(f"stdin cannot be read: {error.strerror}") from error
        if block:
            self._decoder.feed(block)
        else:
            self._decoder.finish()
            self._finished = True
        return True


class StdoutSink:
    """One record a line. A kill in the middle of a write can tear the record in hand: a pipe cannot be cut back."""

    def __init__(self, spec: Mapping[str, Any], fd: int = 1) -> None:
        self._fd = fd
        self._encode = encoder(format_of(spec, Format.JSONL))

    def open(self, restarted: bool) -> None:  # noqa: ARG002 -- there is nothing to go back to
        if found := stdout_problems({}, self._fd):
            raise ConnectorError(" ".join(found))

    def write(self, values: Sequence[object]) -> None:
        if not values:
            return
        try:
            write_all(self._fd, self._encode(values))
        except OSError as error:
            raise ConnectorError(
                f"stdout cannot be written: {error.strerror}",
                remedy="Keep the program that reads the output running until the job has ended.",
            ) from error

    def close(self) -> None:
        """The descriptor is not ours to close."""


def stdin_problems(_spec: Mapping[str, Any], fd: int = 0) -> list[str]:
    return [] if _is_open(fd) else ["stdin is closed. Give the command an input: command < FILE, or a pipe."]


def stdout_problems(_spec: Mapping[str, Any], fd: int = 1) -> list[str]:
    return [] if _is_open(fd) else ["stdout is closed. Give the command an output: command > FILE, or a pipe."]


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True
