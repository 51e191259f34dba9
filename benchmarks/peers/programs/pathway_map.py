"""The map in Pathway: a Python connector reads the messages into a table, a column of it is changed, rows are counted.

A message is a row here, its fields are columns. What the connector has read and the engine has not is bounded, as it is
on all other sides; without that the connector runs ahead and fills the memory. Rows are committed every 50 ms; the
default of 1.5 s is as long as a measurement, and no faster.

    pathway_map.py FOLDER
"""

from __future__ import annotations

import sys
from typing import Any

import pathway as pw
from feed import batches
from tally import REST, Tally, neighbour

BACKLOG_MAX = 8192
COMMIT_MS = 50


class Message(pw.Schema):
    """`number` is what is `id` elsewhere: that name is Pathway's own."""

    number: int
    data: bytes


class Feed(pw.io.python.ConnectorSubject):
    """All messages of the source process."""

    def __init__(self, endpoint: str) -> None:
        super().__init__()
        self._endpoint = endpoint

    def run(self) -> None:
        for messages in batches(self._endpoint):
            for message in messages:
                self.next(number=message["id"], data=message["data"])


def changed(number: int) -> int:
    return number + 1


def main(folder: str) -> None:
    tally = Tally(folder)

    def count(key: object, row: dict[str, Any], time: int, is_addition: bool) -> None:  # noqa: ARG001  # by name
        tally.count += 1
        if not tally.count & REST:
            tally.show()

    feed = Feed(neighbour())
    rows = pw.io.python.read(feed, schema=Message, max_backlog_size=BACKLOG_MAX, autocommit_duration_ms=COMMIT_MS)
    mapped = rows.select(number=pw.apply(changed, pw.this.number), data=pw.this.data)
    pw.io.subscribe(mapped, on_change=count, on_end=tally.show)
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)


if __name__ == "__main__":
    main(*sys.argv[1:])
