"""Headers travel beside a message, and with everything that is sent for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streamer.errors import MessageError
from streamer.plan.assignment import Role
from streamer.protocol.codec import unpack_headers
from tests.runtime.chain import Chain, algorithm_of, overlapping


def sender(tmp_path: Path, text: str) -> Chain:
    """A chain whose work sends roots with headers and listens to nothing."""
    chain = Chain(algorithm_of(tmp_path, text), [], role=Role.STATEFUL)
    chain.algorithm.start()
    chain.algorithm.start_returned.set()
    return chain


def headers_sent(chain: Chain) -> list[Any]:
    """The headers in all chunks that wait or fly to the sink, in their order."""
    (edge,) = chain.work.outbox.edges
    return [
        unpack_headers(None if chunk.segment.headers is None else chunk.segment.headers[i])
        for chunk, first, last in edge.held()
        for i in range(first, last)
    ]


def test_headers_of_roots_stay_with_their_messages(tmp_path: Path) -> None:
    chain = sender(
        tmp_path,
        """
        def start(args, api):
            api.sendMessage(1)
            api.sendMessage(2, headers={"tenant": "a"})
            api.sendMessage(3)
            api.sendMessage(4, "main", {"tenant": "b", "trace": 7})
        """,
    )
    chain.work.step()

    assert headers_sent(chain) == [{}, {"tenant": "a"}, {}, {"tenant": "b", "trace": 7}]


def test_without_headers_nothing_of_them_travels(tmp_path: Path) -> None:
    chain = sender(tmp_path, "def start(args, api): api.sendMessage(1)")
    chain.work.step()
    (edge,) = chain.work.outbox.edges

    assert [chunk.segment.headers for chunk, _, _ in edge.held()] == [None]


FROM_SOURCE = """
def start(args, api):
    n = args["streamInput"]["message"]
    if n == 2:
        api.sendMessage("gone", headers={"n": n})
        raise ValueError("taken back")
    api.sendMessage([n, "plain"])
    api.sendMessage([n, "marked"], headers={"n": n})
    return [n, "returned"]
"""


@pytest.mark.parametrize("spill", [False, True])
def test_headers_are_of_the_message_that_they_were_given_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spill: bool
) -> None:
    if spill:
        monkeypatch.setattr("streamer.runtime.turn.SPILL_BYTES", 40)
    chain = Chain(algorithm_of(tmp_path, FROM_SOURCE), [1, 2, 3, 4, 5, 6, 7])
    seen: list[Any] = []
    emit = chain.work.outbox.emit

    def watched(segment: Any, blobs: Any, parent: Any, indexes: Any, *, again: bool = False) -> None:
        seen.extend(segment.headers or [None] * len(blobs))
        emit(segment, blobs, parent, indexes, again=again)

    chain.work.outbox.emit = watched  # type: ignore[method-assign]  # what is handed on is looked at
    chain.finish()

    assert [h is not None for h in seen] == [message[1] == "marked" for message in chain.outcome]


@pytest.mark.parametrize(
    ("headers", "problem"),
    [({"a": b"x" * 5000}, "HEADERS_BYTES_MAX"), ({1: 2}, "no str"), ({"a": object()}, "cannot be packed")],
    ids=["too-large", "name", "value"],
)
def test_headers_that_cannot_travel_are_told_to_the_sender(tmp_path: Path, headers: Any, problem: str) -> None:
    chain = Chain(algorithm_of(tmp_path, "def start(args, api): pass"), [], role=Role.STATEFUL)

    with pytest.raises(MessageError, match=problem):
        chain.algorithm._api.sendMessage(1, headers=headers)


def test_async_handlers_see_the_headers_of_their_own_message(tmp_path: Path) -> None:
    algorithm = algorithm_of(
        tmp_path,
        """
        import asyncio

        async def start(args, api):
            await asyncio.sleep(0)
            return api.headers
        """,
    )

    assert overlapping(Chain(algorithm, [1, 2], concurrency=2)).outcome == [{}, {}]
