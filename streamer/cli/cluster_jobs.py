"""The jobs of a cluster, for the commands that look at them or want something of them.

They are led by controllers and not by a process of this machine, so nothing is taken up here; and the pages of their
instances lie where these run, so accounts come from what agents have reported. What lies in a job's folder (logs, dead
letters, state) is found for the instances of this machine, if its agent has the same $STREAMER_HOME.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from streamer import clock
from streamer.cli.jobs import Jobs
from streamer.control.cluster.accounts import Pages
from streamer.control.cluster.wire import report_of
from streamer.control.hosts.home import folder_of
from streamer.control.jobs import JobAccount, account
from streamer.control.records import JobLine, KeptJob
from streamer.errors import OptionError, StateError
from streamer.log.base import newest
from streamer.log.topics import Topic


@dataclass(frozen=True, slots=True)
class ClusterJobs(Jobs):
    """`home` is the folder in which an agent of this machine would keep what belongs to a job."""

    home: Path

    @classmethod
    @contextmanager
    def opened(cls, bootstrap: str, home: Path) -> Iterator[ClusterJobs]:
        """Raises OptionError, StateError or LogError."""
        log = open_kafka(bootstrap)
        try:
            yield cls(log, home)
        finally:
            log.close()

    def again(self, job: str) -> KeptJob:
        kept = Jobs.again(self, job)
        facts = replace(kept.line.facts, folder=str(folder_of(self.home, job)))
        return replace(kept, line=replace(kept.line, facts=facts))

    def see_to(self, line: JobLine) -> None:
        """Controllers do."""

    def take_up(self) -> None:
        """Controllers do."""

    def account(self, kept: KeptJob) -> JobAccount | None:
        state = kept.state(clock.wall() - clock.now(), 0)
        if kept.account is not None or state is None:
            return kept.account
        pages = Pages()
        for record in newest(self.log, Topic.REPORTS, scope=kept.job).values():
            try:
                pages.take(report_of(record))
            except StateError:
                continue  # written by another version: its agent says it again
        return account(state, clock.now(), pages.of(state))


def open_kafka(bootstrap: str) -> KafkaLog:
    """Raises OptionError, StateError or LogError."""
    return KafkaLog(kafka_settings(bootstrap))


def kafka_settings(bootstrap: str) -> KafkaSettings:
    """Raises OptionError."""
    return from_environment(bootstrap, os.environ)


try:
    from streamer.log.kafka.log import KafkaLog
    from streamer.log.kafka.settings import KafkaSettings, from_environment
except ImportError as error:
    raise OptionError(
        f"a cluster needs the extra kafka, which is not installed: {error}",
        remedy="Install it: pip install 'streamer[kafka]'.",
    ) from error
