"""A sink: hands the messages of a frame to a connector, which has them safe from a kill when it returns.

A frame is settled when it is written, or, where the connector can take back what it has written, with the checkpoint
after it, so that each record is written once. A message fails alone if it does not even unpack, or if its record is one
that the connector refuses, as a table does a row. That comes to light with the checkpoint, when the frame is done with:
so until then the messages of a connector that may refuse some are kept here, for the dead letters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from streamer.connectors.base import CheckpointedSink, RefusedRecordsError, Sink
from streamer.protocol.frames import Received
from streamer.protocol.input_frame import InputFrame
from streamer.runtime.calls import bodies_of
from streamer.runtime.letters import Failure
from streamer.state.base import Checkpoint, Kept


@dataclass(frozen=True, slots=True)
class _Written:
    """Of a frame the messages of these indexes were handed to the connector since its last checkpoint."""

    frame: InputFrame
    body: bytes | memoryview
    buffers: Received
    indexes: Sequence[int]


class SinkWork:
    """`restarted`: an earlier life of this instance wrote already in this job. Raises ConnectorError."""

    accepts = True
    at_rest = True
    exhausted = True
    unread = None

    def __init__(self, sink: Sink, *, restarted: bool) -> None:
        self._sink = sink
        refuses = isinstance(sink, CheckpointedSink) and sink.refuses
        self._written: list[_Written] | None = [] if refuses else None
        sink.open(restarted)

    def handle(self, frame: InputFrame) -> list[Failure]:
        failures: list[Failure] = []
        bodies = bodies_of(frame, failures)
        bad = {failure.index for failure in failures} | set(frame.repeats)
        indexes = [i for i in range(len(bodies)) if i not in bad] if bad else range(len(bodies))
        self._sink.write([bodies[i] for i in indexes] if bad else bodies)
        if self._written is not None:
            self._written.append(_Written(frame, frame.body, frame.buffers, indexes))
        return failures

    def give_up(self, reasons: Mapping[int, Exception], judge: Callable[[InputFrame, list[Failure]], bool]) -> None:
        """These of the records since the last checkpoint were refused, by their number."""
        first, entries = 0, self._written or []
        for at, written in enumerate(entries):
            numbers = range(first, first + len(written.indexes))
            first = numbers.stop
            failures = [Failure(written.indexes[n - numbers.start], reasons[n]) for n in numbers if n in reasons]
            if failures:
                frame, gone = written.frame, {failure.index for failure in failures}
                frame.body, frame.buffers = written.body, written.buffers
                judge(frame, failures)
                frame.done()
                entries[at] = replace(written, indexes=[i for i in written.indexes if i not in gone])

    def committed(self) -> None:
        """All that was written is in force."""
        if self._written:
            self._written.clear()

    def produce(self, now: float) -> bool:  # noqa: ARG002  # a sink has nothing of its own
        return False

    def wait_s(self, now: float) -> float | None:  # noqa: ARG002  # a sink waits for frames only
        return None

    def descriptors(self) -> tuple[int, ...]:
        return ()

    def drain(self) -> None:
        """A sink ends with its input."""

    def finish(self, now: float) -> bool:  # noqa: ARG002  # what was written is safe already
        return True

    def settled(self) -> None:
        """A sink sends nothing."""

    def close(self) -> None:
        self._sink.close()


class SinkVault:
    """Keeps the marks of a sink with what it has written: the connector's own checkpoint.

    `judge` says what becomes of messages whose records were refused.
    """

    whole_marks = True

    def __init__(
        self, sink: CheckpointedSink, work: SinkWork, judge: Callable[[InputFrame, list[Failure]], bool]
    ) -> None:
        self._sink = sink
        self._work = work
        self._judge = judge

    def restore(self) -> Kept:
        note = self._sink.restore()
        return Kept((note,) if note else (), (), {})

    def commit(self, checkpoint: Checkpoint) -> None:
        while True:
            try:
                self._sink.checkpoint(checkpoint.marks)
            except RefusedRecordsError as refused:
                self._work.give_up(refused.reasons, self._judge)
            else:
                self._work.committed()
                return

    def own(self, epoch: int, replicas: int) -> Sequence[bytes]:  # noqa: ARG002  # a sink is not partitioned
        return ()

    def close(self) -> None:
        """The sink is closed with its work."""
