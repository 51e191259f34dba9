"""A thread for an asynchronous client: what it was asked for has an end, and its words are its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from streamer.kafka.loop import LoopThread


async def _complain() -> None:
    logging.getLogger("aiokafka").warning("no broker is there")


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    made = LoopThread("of a test")
    yield made
    made.close()


def test_what_the_client_says_is_told_once(thread: LoopThread) -> None:
    thread.run(_complain(), 1.0)

    assert [thread.said(), thread.said()] == ["no broker is there", ""]


def test_what_a_thread_has_said_that_is_gone_is_nobody_elses() -> None:
    """The system numbers threads anew, and one gets the number of the last that has ended."""
    gone = LoopThread("gone")
    gone.run(_complain(), 1.0)
    gone.close()

    after: list[LoopThread] = []
    try:
        while not any(one._thread.ident == gone._thread.ident for one in after):
            assert len(after) < 1_000, "no thread got the number"
            after.append(LoopThread("after it"))
        assert [one.said() for one in after] == [""] * len(after)
    finally:
        for one in after:
            one.close()


def test_what_takes_too_long_is_cancelled(thread: LoopThread) -> None:
    cancelled = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    with pytest.raises(TimeoutError):
        thread.run(wait(), 0.01)
    assert cancelled == [True]


def test_a_client_that_cancels_its_own_work_has_given_up(thread: LoopThread) -> None:
    async def cancel() -> None:
        raise asyncio.CancelledError

    with pytest.raises(TimeoutError, match="the client has given up"):
        thread.run(cancel(), 1.0)
