"""Faust: JSON from one topic, one added to its `id`, JSON into another topic, at least once.

It is given the same arguments as the others, and leaves out which promise is meant: it has one that holds.
"""

from __future__ import annotations

import sys
import tempfile

import faust

bootstrap, source, sink, group, _guarantee = sys.argv[1:]
application = faust.App(
    group,
    broker=f"kafka://{bootstrap}",
    value_serializer="json",
    topic_disable_leader=True,
    datadir=tempfile.mkdtemp(prefix="faust-"),
)
messages, results = application.topic(source), application.topic(sink)


@application.agent(messages)
async def add(stream: faust.StreamT) -> None:
    async for message in stream:
        message["id"] += 1
        await results.send(value=message)


sys.argv[1:] = ["worker", "-l", "warn", "--without-web"]
application.main()
