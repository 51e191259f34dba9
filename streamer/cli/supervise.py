"""`streamer supervise`: the process that stands behind a detached job; commands start it, people need not.

It is the same loop as that of `run`, without anybody who watches: the job comes from the control log, wishes come from
there too, and the job's instances outlive it. So it may be killed at any moment, and the next command starts another.
What it has to say goes into the job's folder.
"""

from __future__ import annotations

import os
import signal
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from autoscaler.embedded import EmbeddedAutoscaler
from streamer.cli.exits import FAILED, OK
from streamer.cli.interrupts import Interrupts
from streamer.cli.jobs import home_folder
from streamer.cli.output import tell
from streamer.cli.run import autoscaler_of, news, publish
from streamer.control.book import find
from streamer.control.hosts.embedded import EmbeddedHost
from streamer.control.hosts.home import open_log
from streamer.control.jobs import JobSnapshot, JobStatus
from streamer.control.records import KeptJob
from streamer.errors import NoSuchJobError, PortError
from streamer.metrics.endpoint import Endpoint

_POLL_S = 0.1


def supervise(job: str) -> int:
    """Serve the job until it has ended. Raises SupervisedError if another process does so."""
    home = home_folder()
    with closing(open_log(home)) as log:
        kept = find(log, job)
    if kept is None:
        raise NoSuchJobError(f"there is no job {job}")
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    directory = Path(kept.line.facts.directory)
    if directory.is_dir():
        os.chdir(directory)
    endpoint, problem = _endpoint(kept.line.facts.metrics)
    with closing(endpoint), Interrupts() as interrupts:
        host = EmbeddedHost.taking_up(
            kept, home, on_output=lambda _node, instance, line: tell(f"{instance} | {line}"), metrics=endpoint.url
        )
        with closing(host):
            host.start()
            tell(f"process {os.getpid()} supervises job {job}")
            if problem:
                tell(problem)
            autoscaler = autoscaler_of(host, kept.line.facts.capacity, tell)
            last = _watch(host, kept, endpoint, interrupts, autoscaler)
    tell(f"{last.status}{f': {last.error}' if last.error else ''}")
    return FAILED if last.status is JobStatus.FAILED else OK


def _watch(
    host: EmbeddedHost,
    kept: KeptJob,
    endpoint: Endpoint,
    interrupts: Interrupts,
    autoscaler: EmbeddedAutoscaler | None,
) -> JobSnapshot:
    duration_s = kept.line.facts.duration_s
    before: JobSnapshot | None = None
    while True:
        snapshot = host.poll(_POLL_S)
        publish(endpoint, snapshot, autoscaler)
        for text in news(before, snapshot):
            tell(text)
        if snapshot.status.ended:
            return snapshot
        if interrupts.count > 1:
            host.kill()
        elif interrupts.count or (duration_s is not None and snapshot.elapsed_s >= duration_s):
            host.drain()
        before = snapshot


def _endpoint(url: str) -> tuple[Endpoint, str]:
    """Where the metrics were before, if that port is free; else elsewhere, and why."""
    if not url:
        return Endpoint(), ""
    try:
        return Endpoint(urlsplit(url).port or 0), ""
    except PortError as error:
        return Endpoint(), f"{error}: another port is taken"
