"""A sink: a frame is settled when its connector has it, and a body that cannot be read keeps nothing else from it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from streamer.errors import ConnectorError
from streamer.runtime.sink import SinkWork
from tests.protocol.messages import BAD
from tests.runtime.received import received

"""It packs, and does not unpack."""


class Shelf:
    """Keeps what it is given, batch by batch."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.batches: list[list[object]] = []
        self.restarted: bool | None = None
        self.closed = False
        self._refuses = refuses

    def open(self, restarted: bool) -> None:
        if self._refuses:
            raise ConnectorError("the shelf is locked")
        self.restarted = restarted

    def write(self, values: Sequence[object]) -> None:
        self.batches.append(list(values))

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("restarted", [True, False])
def test_a_sink_is_opened_knowing_whether_an_earlier_life_has_written(restarted: bool) -> None:
    shelf = Shelf()
    SinkWork(shelf, restarted=restarted)
    assert shelf.restarted is restarted


def test_a_sink_that_cannot_be_opened_is_told() -> None:
    with pytest.raises(ConnectorError, match="the shelf is locked"):
        SinkWork(Shelf(refuses=True), restarted=False)


def test_a_frame_is_written_at_once() -> None:
    shelf = Shelf()
    work = SinkWork(shelf, restarted=False)
    assert work.accepts
    assert work.handle(received(["a", None, 3])) == []
    assert shelf.batches == [["a", None, 3]]


@pytest.mark.parametrize(("at", "left"), [(0, ["b", "c"]), (1, ["a", "c"]), (2, ["a", "b"])])
def test_a_body_that_cannot_be_read_fails_alone(at: int, left: list[object]) -> None:
    shelf = Shelf()
    values: list[object] = ["a", "b", "c"]
    values[at] = BAD
    (failure,) = SinkWork(shelf, restarted=False).handle(received(values))
    assert (failure.index, failure.reason) == (at, "unreadable")
    assert shelf.batches == [left]


def test_a_sink_has_nothing_of_its_own_and_says_goodbye_at_once() -> None:
    shelf = Shelf()
    work = SinkWork(shelf, restarted=False)
    assert not work.produce(0.0)
    assert work.wait_s(0.0) is None
    assert work.descriptors() == ()
    assert work.exhausted
    assert work.finish(0.0)
    work.close()
    assert shelf.closed
