"""What keeps a Kafka connector from working here and now, found out before a job is made.

Once a job goes on, a cluster that cannot be used is waited for. At its start the same is most often a mistake: a wrong
address, a wrong password, a topic that nobody has made. So it is looked for once, for a few seconds, and nothing is
changed by it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from streamer.connectors.kafka.topics import KAFKA_ERRORS, partitions_of
from streamer.errors import ConnectorError, OptionError
from streamer.kafka.limits import LOOK_AT_START_S
from streamer.kafka.loop import LoopThread
from streamer.kafka.settings import KafkaSettings
from streamer.kafka.spec import resolved, settings_of
from streamer.kafka.words import told


def kafka_problems(spec: Mapping[str, Any]) -> list[str]:
    """Of a source or a sink, each with its remedy."""
    topics: Sequence[str] = spec["topics"] if "topics" in spec else [spec["topic"]]
    try:
        settings = settings_of(spec, os.environ)
        resolved(spec.get("group", ""), os.environ)
        options = settings.client()
    except (ConnectorError, OptionError) as error:
        return [f"{error}. {error.advice}"]
    thread = LoopThread("look at kafka")
    try:
        thread.run(partitions_of(options, topics), LOOK_AT_START_S)
    except ConnectorError as error:
        return [f"Kafka at {settings.bootstrap}: {error}. {error.advice}"]
    except KAFKA_ERRORS as error:
        return [_unusable(settings, told(error, LOOK_AT_START_S, thread.said()))]
    finally:
        thread.close()
    return []


def _unusable(settings: KafkaSettings, why: str) -> str:
    how = settings.protocol if settings.user is None else f"{settings.protocol} as user {settings.user}"
    return (
        f"Kafka at {settings.bootstrap} ({how}) cannot be used: {why}. "
        "See that a broker of Kafka 2.1 or later listens at this address, that it can be reached from here, and that "
        "bootstrap, security and the KAFKA_* variables say how it lets users in."
    )
