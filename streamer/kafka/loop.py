"""A thread with an event loop, for a log whose client is asynchronous and whose users are not.

The port is one of plain calls, because a controller, a command and an instance's link each live in a thread of their
own and wait for nothing else. aiokafka needs a loop that runs all the time, for its heartbeats and its fetches; so each
log object has one, and hands its calls over.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from threading import Thread
from typing import Any, TypeVar

from streamer.kafka.words import listening

_Found = TypeVar("_Found")


def _pass_on(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What nobody has waited for is a word of the client like others: its users have errors of the same cause."""
    logging.getLogger("aiokafka").warning("%s", context.get("exception") or context["message"])


class LoopThread:
    """Runs until it is closed, or its process ends."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(_pass_on)
        self._words = listening()
        self._thread = Thread(target=self.loop.run_forever, name=name, daemon=True)
        self._thread.start()
        self.said()  # by a thread that has ended, and had the same number

    def said(self) -> str:
        """What the client has said last, since this was asked; empty if nothing."""
        return self._words.take(self._thread.ident)

    def run(self, work: Coroutine[Any, Any, _Found], timeout_s: float) -> _Found:
        """Wait for it in the calling thread. Raises TimeoutError once it is cancelled, by time or by its client."""

        async def bounded() -> _Found:
            async with asyncio.timeout(timeout_s):
                return await work

        try:
            return asyncio.run_coroutine_threadsafe(bounded(), self.loop).result()
        except CancelledError as error:  # aiokafka awaits what it has cancelled when it ends without a broker
            raise TimeoutError("the client has given up") from error

    def close(self) -> None:
        """What still runs is cancelled: a client that waits for a broker may wait for long."""

        async def end() -> None:
            left = asyncio.all_tasks() - {asyncio.current_task()}
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()
