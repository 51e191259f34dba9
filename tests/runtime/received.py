"""Frames as an instance has received them, for tests of what is done with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from streamer.plan.assignment import Wiring
from streamer.plan.routing import Route, RouteTable
from streamer.protocol.codec import join, packer, unpack_one
from streamer.protocol.frames import Data
from streamer.protocol.identity import MessageId
from streamer.protocol.input_frame import InputFrame
from streamer.protocol.segment import Segment
from streamer.protocol.session import ReceivingSession

ROUTES = RouteTable(
    (
        Route("main", "parse", 0, (1,)),
        Route("main", "save", 0, ()),
        Route("alert", "parse", 0, (3,)),
        Route("alert", "mail", 0, ()),
        Route("ends", "lines", 0, (5,)),
        Route("ends", "parse", 0, ()),
        Route("elsewhere", "lines", 0, (7,)),
        Route("elsewhere", "mail", 0, ()),
    ),
    "main",
)
"""Flows as node `parse` sees them: `main` and `alert` go on there, `ends` ends there, `elsewhere` passes it by."""
MAIN, ALERT, ENDS = 0, 2, 5
WIRING = Wiring(1, (ROUTES,), 1)


def segment(positions: range, route: int = MAIN) -> Segment:
    return Segment(9, positions, 1, None, route, 0, 1_000)


def received(values: Sequence[object], *segments: Segment, sequence: int = 1) -> InputFrame:
    """A frame of these messages, of one segment unless others are given."""
    pack = packer()
    body = join([pack(value) for value in values])
    session = ReceivingSession(77, "lines", False, _nobody)
    session.received = sequence - 1
    data = Data(sequence, list(segments or [segment(range(len(values)))]), len(values), body, False)
    frame = session.accept(data, 0.0)
    assert frame is not None
    return frame


def _nobody(count: int) -> None:
    """Hears of settled frames."""
    assert count > 0


@dataclass
class Emitted:
    """What was handed to the outbox: (position's route, id, message, index of its parent)."""

    messages: list[tuple[int, MessageId, object, int]] = field(default_factory=list)
    times: int = 0

    def __call__(self, of: Segment, blobs: Sequence[bytes], parent: InputFrame | None, indexes: Sequence[int]) -> None:
        assert parent is not None
        assert len(of) == len(blobs) == len(indexes)
        self.times += 1
        for at, blob in enumerate(blobs):
            self.messages.append((of.route, of.id(at), unpack_one(blob), indexes[at]))

    @property
    def values(self) -> list[object]:
        return [value for _, _, value, _ in self.messages]

    @property
    def ids(self) -> list[MessageId]:
        return [who for _, who, _, _ in self.messages]

    @property
    def parents(self) -> list[int]:
        return [index for _, _, _, index in self.messages]
