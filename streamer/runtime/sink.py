"""A sink: hands the messages of a frame to a connector, which has them safe from a kill when it returns.

A frame is settled when it is written; no message of it can fail alone, other than one that does not even unpack.
"""

from __future__ import annotations

from streamer.connectors.base import Sink
from streamer.protocol.session import InputFrame
from streamer.runtime.calls import bodies_of
from streamer.runtime.letters import Failure


class SinkWork:
    """`restarted`: an earlier life of this instance wrote already in this job. Raises ConnectorError."""

    accepts = True
    exhausted = True

    def __init__(self, sink: Sink, *, restarted: bool) -> None:
        self._sink = sink
        sink.open(restarted)

    def handle(self, frame: InputFrame) -> list[Failure]:
        failures: list[Failure] = []
        bodies = bodies_of(frame, failures)
        bad = {failure.index for failure in failures}
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
