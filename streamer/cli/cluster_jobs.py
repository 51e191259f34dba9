"""The jobs of a cluster, for the commands that look at them or want something of them.

They are led by controllers and not by a process of this machine, so nothing is taken up here; and the pages of their
instances lie where these run, so accounts come from what agents have reported. What lies in a job's folder (logs, dead
letters, state) is found for the instances of this machine, if its agent has the same $STREAMER_HOME.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from streamer import clock
from streamer.cli.jobs import Jobs
from streamer.cluster_limits import (
    AGENT_GONE_S,
    KAFKA_PATIENCE_S,
)
from streamer.control.cluster.accounts import Pages
from streamer.control.cluster.code import code_entries
from streamer.control.cluster.wire import MEMBERS, Member, member_of, report_of
from streamer.control.hosts.home import INSTANCES_FOLDER, folder_of
from streamer.control.jobs import JobAccount, account
from streamer.control.kept_code import ReadCode
from streamer.control.records import JobLine, KeptJob, kept_job
from streamer.errors import LogError, NoSuchJobError, OptionError, StateError
from streamer.limits import (
    RETRY_DELAY_S,
    RETRY_FACTOR,
)
from streamer.log.base import ControlLog, Record, newest
from streamer.log.topics import Topic


class FollowedJob:
    """One job as its log goes on: what is read again and again is only what is new."""

    def __init__(self, log: ControlLog, job: str) -> None:
        self._job = job
        self._follower = log.follow([Topic.JOBS, Topic.ASSIGNMENTS], scope=job)
        self._tables: dict[Topic, dict[str, Record]] = {Topic.JOBS: {}, Topic.ASSIGNMENTS: {}}

    def look(self, timeout_s: float = 0.0) -> KeptJob | None:
        """The job as it is now, or once anything has changed; None if there is none. Raises LogError, StateError."""
        records = self._follower.poll(timeout_s)
        while records:
            for record in records:
                if not record.is_claim:
                    self._tables[record.topic][record.key] = record
            records = self._follower.poll(0.0)
        return kept_job(self._tables[Topic.JOBS], self._tables[Topic.ASSIGNMENTS], self._job)


class Hearing:
    """Which kinds of members (agents, controllers) are there: heard of within `AGENT_GONE_S` while we listen."""

    def __init__(self, log: ControlLog) -> None:
        self._since = clock.now()
        self._follower = log.follow([Topic.REPORTS], log.end([Topic.REPORTS]), scope=MEMBERS)
        self._heard_at: dict[str, float] = {}

    def for_s(self) -> float:
        """How long we have listened, in seconds."""
        return clock.now() - self._since

    def is_there(self, kind: Member) -> bool:
        for record in self._follower.poll(0.0):
            self._heard_at[member_of(record)[0]] = clock.now()
        return clock.now() - self._heard_at.get(kind, -AGENT_GONE_S) < AGENT_GONE_S


@dataclass(frozen=True, slots=True)
class ClusterJobs(Jobs):
    """`home` is the folder in which an agent of this machine would keep what belongs to a job."""

    home: Path
    followed: dict[str, FollowedJob] = field(default_factory=dict)

    @classmethod
    @contextmanager
    def opened(cls, bootstrap: str, home: Path) -> Iterator[ClusterJobs]:
        """Raises OptionError, StateError or LogError."""
        log = open_kafka(bootstrap)
        try:
            yield cls(log, home)
        finally:
            log.close()

    def look(self, job: str, timeout_s: float = 0.0) -> KeptJob | None:
        """The job, which may not have begun, as soon as anything has changed."""
        if job not in self.followed:
            self.followed[job] = FollowedJob(self.log, job)
        kept = self.followed[job].look(timeout_s)
        if kept is None:
            return None
        facts = replace(kept.line.facts, folder=str(folder_of(self.home, job)))
        return replace(kept, line=replace(kept.line, facts=facts))

    def again(self, job: str) -> KeptJob:
        kept = self.look(job)
        if kept is None:
            raise NoSuchJobError(f"job {job} is not in the control log any more")
        return kept

    def elsewhere(self, kept: KeptJob) -> str:
        here = Path(kept.line.facts.folder) / INSTANCES_FOLDER
        agents = sorted({one.agent for one in kept.instances if one.agent and not (here / one.instance).is_dir()})
        if not agents:
            return ""
        return (
            f"instances of job {kept.job} run under {', '.join(agents)}; what they have left is read there, "
            f"or with the same $STREAMER_HOME, and not here ({self.home})"
        )

    def see_to(self, line: JobLine) -> None:
        """Controllers do."""

    def take_up(self) -> None:
        """Controllers do."""

    def keep(self, line: JobLine, code: ReadCode) -> None:
        self.log.append_all(code_entries(line.facts.job, code))

    def account(self, kept: KeptJob) -> JobAccount | None:
        state = kept.state(clock.wall() - clock.now(), 0)
        if state is None or (kept.account is not None and not kept.line.live):
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


def patient_log(settings: KafkaSettings, tell: Callable[[str], None]) -> KafkaLog:
    """For what may be started beside its brokers: tried again and again, at growing intervals. Raises LogError."""
    deadline, pause_s = clock.now() + KAFKA_PATIENCE_S, RETRY_DELAY_S
    while True:
        try:
            return KafkaLog(settings)
        except LogError as error:
            if clock.now() + pause_s >= deadline:
                raise
            tell(f"{error}; tried again in {pause_s:g} s")
        time.sleep(pause_s)
        pause_s *= RETRY_FACTOR


def kafka_settings(bootstrap: str) -> KafkaSettings:
    """Raises OptionError."""
    return from_environment(bootstrap, os.environ)


try:
    from streamer.kafka.settings import KafkaSettings, from_environment
    from streamer.log.kafka.log import KafkaLog
except ImportError as error:
    raise OptionError(
        f"a cluster needs the extra kafka, which is not installed: {error}",
        remedy="Install it: pip install 'streamer[kafka]'.",
    ) from error
