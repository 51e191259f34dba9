"""Why a broker could not be used, in the client's own words.

aiokafka raises that it could not reach a cluster, and logs why not: refused, no such host, wrong password, no common
version. The reason is what a user needs, so the last one of each thread is kept here, and nothing goes to the terminal
by another way than ours.
"""

from __future__ import annotations

import logging

from aiokafka.errors import IncompatibleBrokerVersion


def told(error: Exception, waited_s: float, said: str) -> str:
    """What has kept a cluster from being used, and what its client has said last."""
    why = str(error) or f"no answer within {waited_s:g} s"
    if isinstance(error, IncompatibleBrokerVersion):
        why = f"its brokers are too old: {why}"
    return f"{why} ({said})" if said else why


class LastWords(logging.Handler):
    """The last warning or error of each thread."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._words: dict[int | None, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        self._words[record.thread] = record.getMessage()

    def take(self, thread: int | None) -> str:
        """What was said there since the last time; empty if nothing was."""
        return self._words.pop(thread, "")


def listening() -> LastWords:
    """The words of aiokafka, which are told nowhere else from now on."""
    logger = logging.getLogger("aiokafka")
    logger.propagate = False
    found = next((handler for handler in logger.handlers if isinstance(handler, LastWords)), None)
    if found is None:
        found = LastWords()
        logger.addHandler(found)
    return found
