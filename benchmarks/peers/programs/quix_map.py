"""Quix Streams: JSON from one topic, one added to its `id`, JSON into another topic.

It promises each message at least or exactly once, as it is told; all else is what it does by itself.
"""

from __future__ import annotations

import sys

from quixstreams import Application

bootstrap, source, sink, group, guarantee = sys.argv[1:]


def add(message: dict) -> dict:
    message["id"] += 1
    return message


application = Application(
    broker_address=bootstrap,
    consumer_group=group,
    auto_offset_reset="earliest",
    processing_guarantee=guarantee,
    auto_create_topics=False,
    loglevel="WARNING",
)
messages = application.dataframe(application.topic(source, value_deserializer="json"))
messages.apply(add).to_topic(application.topic(sink, value_serializer="json"))
application.run()
