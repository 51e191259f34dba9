"""A shared source: partitions are told how far they are settled, from the front, and ids are those of their places."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from streamer.connectors.base import BadRecord, Mark, Records, SharedSource
from streamer.plan.assignment import Assignment, Delivery, Output, Role, Wiring
from streamer.protocol.account import InstanceAccount
from streamer.protocol.chunk import OutFrame
from streamer.protocol.edge import Edge
from streamer.protocol.identity import MessageId
from streamer.runtime.exits import Exits
from streamer.runtime.letters import Letters
from streamer.runtime.outbox import Outbox
from streamer.runtime.shared_source import SharedSourceWork
from streamer.state.dead_letters import DeadLetter
from tests.runtime.test_source import ROUTES


class Part:
    """A partition; `told` is how far it was said to be settled."""

    held = True

    def __init__(self, partition: str) -> None:
        self.partition = partition
        self.told: list[int] = []

    def settled(self, position: int) -> None:
        self.told.append(position)


class Parts:
    """Gives these batches."""

    replayable = False

    def __init__(self, *batches: tuple[Part, Sequence[int]], bad: Sequence[int] = ()) -> None:
        self._batches = deque(batches)
        self._bad = bad

    @property
    def ended(self) -> bool:
        return not self._batches

    def begin(self) -> None: ...

    def read_share(self, limit: int, now: float) -> tuple[Part, Records] | None:  # noqa: ARG002 -- all is here
        part, offsets = self._batches.popleft()
        good = [offset for offset in offsets if offset not in self._bad]
        bad = tuple(BadRecord(n, f"offset {n}", "?", "bad") for n in offsets if n in self._bad)
        return part, Records(Mark(offsets[0], 0), good, list(good), bad)

    def wait_s(self, now: float) -> float | None:  # noqa: ARG002 -- all is here at any time
        return 0.0

    def fileno(self) -> int | None:
        return None

    def close(self) -> None: ...

    unread = 7


class Life:
    """One instance of the source `lines`, with the edges lines >> parse and lines >> keep."""

    def __init__(self, source: Parts, instance: str = "lines-0") -> None:
        assert isinstance(source, SharedSource)
        self.account = InstanceAccount()
        self.letters: list[DeadLetter] = []
        outputs = tuple(Output(target, False, Delivery.AT_LEAST_ONCE, 1 << 26, 64) for target in ("parse", "keep"))
        assignment = Assignment(
            job="job",
            pipeline="words",
            token="secret",
            node="lines",
            instance=instance,
            epoch=1,
            role=Role.SOURCE,
            wiring=Wiring(1, (ROUTES,), 1, (), outputs),
            folder="",
            dead_letters="",
            control="",
        )
        exits = Exits("lines", assignment.wiring)
        letters = Letters(assignment, self, lambda: 0.0, lambda: 1_000.0, exits.position)
        self.outbox = Outbox(assignment, exits, None, self.account, letters)
        self.work = SharedSourceWork(
            source, exits, self.outbox, self.account, letters, clock=lambda: 0.0, wall=lambda: 1_000.0
        )
        while self.work.produce(0.0):
            pass
        self.flying = {target: self._sent(target) for target in ("parse", "keep")}

    def append(self, records: Sequence[DeadLetter]) -> None:
        self.letters += records

    def _edge(self, target: str) -> Edge:
        (edge,) = [edge for edge in self.outbox.edges if edge.target == target]
        assert isinstance(edge, Edge)
        return edge

    def _sent(self, target: str) -> dict[MessageId, OutFrame]:
        """All messages, one a frame."""
        found = {}
        edge = self._edge(target)
        while (frame := edge.cut(1)) is not None:
            edge.fly(frame)
            found[frame.chunks[0].segment.id(0)] = frame
        return found

    def settle(self, position: int, target: str) -> None:
        for who, frame in list(self.flying[target].items()):
            if who.position == position:
                self._edge(target).settle(frame)
                del self.flying[target][who]
        self.work.settled()


def test_a_partition_is_told_what_is_settled_on_every_edge_from_its_front() -> None:
    part = Part("orders/0")
    life = Life(Parts((part, (5, 6)), (part, (7, 9)), (part, (10,))))

    for position in (7, 9, 10, 6):
        life.settle(position, "parse")
        life.settle(position, "keep")
    assert part.told == [], "record 5 is before all of them"
    life.settle(5, "parse")
    assert part.told == []
    life.settle(5, "keep")

    assert part.told[-1] == 11
    assert life.work.exhausted
    assert life.account.received == 5


def test_partitions_do_not_wait_for_each_other() -> None:
    slow, fast = Part("orders/0"), Part("orders/1")
    life = Life(Parts((slow, (0,)), (fast, (100,))))

    for target in ("parse", "keep"):
        life.settle(100, target)

    assert (slow.told, fast.told) == ([], [101])


def test_a_record_has_the_same_id_whoever_reads_it() -> None:
    first = Life(Parts((Part("orders/0"), (3, 4))))
    other = Life(Parts((Part("orders/1"), (3,)), (Part("orders/0"), (4,)), (Part("orders/0"), (3,))), "lines-1")

    of_first, of_other = set(first.flying["parse"]), set(other.flying["parse"])
    assert of_first < of_other
    assert len(of_other) == 3, "another partition has other ids"


def test_a_record_that_cannot_be_read_is_a_dead_letter_and_keeps_nothing_back() -> None:
    part = Part("orders/0")
    life = Life(Parts((part, (0,)), (part, (1, 2)), bad=(0, 2)))

    assert part.told == [1]
    for target in ("parse", "keep"):
        life.settle(1, target)
    assert part.told == [1, 3]
    assert [letter.source for letter in life.letters] == ["offset 0", "offset 2"]
    assert life.account.received == 3
