"""What an instance does with frames, or instead of frames: the port between the loop and the four roles.

The loop owns sockets, time, order and the end; a role only handles frames, or produces records, and says when it has
nothing more to give. Sources, sinks, stateless and stateful algorithms are siblings behind this port, one file each
but for the two kinds of algorithm, which differ in who calls whom.
"""

from __future__ import annotations

from typing import Protocol

from streamer.protocol.input_frame import InputFrame
from streamer.runtime.letters import Failure


class Work(Protocol):
    """One role. All calls come from the message thread."""

    @property
    def accepts(self) -> bool:
        """Whether frames may be handed over now."""

    @property
    def at_rest(self) -> bool:
        """Whether no frame is in hand between two steps."""

    @property
    def exhausted(self) -> bool:
        """Whether it will send nothing any more of its own accord, other than for frames."""

    @property
    def unread(self) -> int | None:
        """Records of its own that wait outside; None: it has none, or cannot tell."""

    def handle(self, frame: InputFrame) -> list[Failure] | None:
        """Handle all messages of the frame and hand on what is sent for them; gives those that failed.

        None: the handling goes on, and the instance is told when it is done.
        """

    def produce(self, now: float) -> bool:
        """Send records of its own; True if more may be there at once."""

    def wait_s(self, now: float) -> float | None:
        """Seconds until `produce` is worth calling again; None: only for a readable descriptor, or never."""

    def descriptors(self) -> tuple[int, ...]:
        """What to wait for beside the wire."""

    def drain(self) -> None:
        """Stop producing; what was read goes on its way."""

    def finish(self, now: float) -> bool:
        """The input has ended: say goodbye. Called until True; nothing is sent after that."""

    def settled(self) -> None:
        """Something that was sent has been settled: positions may have moved on."""

    def close(self) -> None:
        """The end of this life, all being settled."""
