"""A sink: hands the messages of a frame to a connector, which has them safe from a kill when it returns.

A frame is settled when it is written, or, where the connector can take back what it has written, with the checkpoint
after it, so that each record is written once. No message of a frame can fail alone, other than one that does not even
unpack.
"""

from __future__ import annotations

from collections.abc import Sequence

from streamer.connectors.base import CheckpointedSink, Sink
from streamer.protocol.session import InputFrame
from streamer.runtime.calls import bodies_of
from streamer.runtime.letters import Failure
from streamer.state.base import Checkpoint, Kept


class SinkWork:
    """`restarted`: an earlier life of this instance wrote already in this job. Raises ConnectorError."""

    accepts = True
    at_rest = True
    exhausted = True

    def __init__(self, sink: Sink, *, restarted: bool) -> None:
        self._sink = sink
        sink.open(restarted)

    def handle(self, frame: InputFrame) -> list[Failure]:
        failures: list[Failure] = []
        bodies = bodies_of(frame, failures)
        bad = {failure.index for failure in failures} | set(frame.repeats)
        self._sink.write([body for i, body in enumerate(bodies) if i not in bad] if bad else bodies)
        return failures

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
    """Keeps the marks of a sink with what it has written: the connector's own checkpoint."""

    whole_marks = True

    def __init__(self, sink: CheckpointedSink) -> None:
        self._sink = sink

    def restore(self) -> Kept:
        note = self._sink.restore()
        return Kept((note,) if note else (), (), {})

    def commit(self, checkpoint: Checkpoint) -> None:
        self._sink.checkpoint(checkpoint.marks)

    def own(self, epoch: int, replicas: int) -> Sequence[bytes]:  # noqa: ARG002  # a sink is not partitioned
        return ()

    def close(self) -> None:
        """The sink is closed with its work."""
