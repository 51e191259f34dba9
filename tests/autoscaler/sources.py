"""Sources of metrics as the contract suite sees them: somebody tells of instances, and a source is asked for them.

Each is fed in its own way (a supervisor's samples, pages that are scraped, pages that a real Prometheus server
scrapes), and asked in the same way. Time is real where a server has its own clock: tests wait for what must come, and
for nothing else.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Protocol
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from autoscaler.collect.at_hand import AtHand
from autoscaler.collect.base import MetricsSource, Points, Reading
from autoscaler.collect.scrape import Scraping
from streamer.control.jobs import JobSnapshot, JobStatus
from streamer.metrics.endpoint import Endpoint
from streamer.metrics.exposition import Observation
from streamer.metrics.samples import EdgeSample, InstanceSample, InstanceState
from tests.control.plans import LINE

SPAN_S = 20.0
_PATIENCE_S = 30.0
_LOOK_S = 0.05


def sample(instance: str, received: int, busy_s: float, *, sent: int = 0, backlog: int = 0) -> InstanceSample:
    edge = EdgeSample("save", sent=sent, settled=sent, in_flight=backlog, backlog_messages=backlog, fullness=0.25)
    node = instance.rpartition("-")[0]
    return InstanceSample(
        instance,
        node,
        1,
        InstanceState.RUNNING,
        received=received,
        busy_s=busy_s,
        unread=11,
        oldest_unsettled_s=1.5,
        edges=(edge,),
    )


class Told(Protocol):
    """One source, and a way to have it know of a job."""

    source: MetricsSource

    def tell(self, job: str, samples: Sequence[InstanceSample], *, silent_s: float = 0.0) -> None:
        """These instances live, and have said this so long ago."""


class ToldAtHand:
    def __init__(self) -> None:
        self._at_hand = AtHand(SPAN_S)
        self.source: MetricsSource = self._at_hand

    def tell(self, job: str, samples: Sequence[InstanceSample], *, silent_s: float = 0.0) -> None:
        self._at_hand.note(_snapshot(job, samples, silent_s), time.time())


class ToldByPages:
    """The pages of jobs, each at an address of its own; those of `jobs` are there, and empty, from the beginning."""

    def __init__(self, jobs: Sequence[str] = ()) -> None:
        self.endpoints = {job: Endpoint() for job in jobs}
        self.source: MetricsSource = Scraping(self.addresses, span_s=SPAN_S, wall=time.time)

    def addresses(self) -> dict[str, str]:
        return {job: endpoint.url for job, endpoint in self.endpoints.items()}

    def tell(self, job: str, samples: Sequence[InstanceSample], *, silent_s: float = 0.0) -> None:
        if job not in self.endpoints:
            self.endpoints[job] = Endpoint()
        ages = {one.instance: silent_s for one in samples}
        self.endpoints[job].publish(Observation(job, "words", tuple(samples), ages_s=ages))

    def close(self) -> None:
        for endpoint in self.endpoints.values():
            endpoint.close()


def _snapshot(job: str, samples: Sequence[InstanceSample], silent_s: float) -> JobSnapshot:
    return JobSnapshot(
        job=job, pipeline="words", status=JobStatus.RUNNING, started_at=0.0, elapsed_s=0.0,
        samples={one.instance: one for one in samples}, instances={one.instance: "running" for one in samples},
        restarts={}, error=None, killed=False, control="", folder=Path(), refused=0, plan=LINE,
        ages_s={one.instance: silent_s for one in samples},
    )  # fmt: skip


def until(source: MetricsSource, job: str, seen: object) -> Points:
    """What the source says of the job once `seen` is true of it."""
    assert callable(seen)
    deadline = time.monotonic() + _PATIENCE_S
    while not seen(found := reading(source, job).jobs.get(job, {})):
        assert time.monotonic() < deadline, found
        Event().wait(_LOOK_S)
    return found


def reading(source: MetricsSource, job: str) -> Reading:
    return source.read([job], time.time())


def wait_until(at: float) -> None:
    """Wait for a time of day: counters that grow need time to grow in."""
    while (left := at - time.time()) > 0:
        Event().wait(left)


_CONFIG = """
global: {{scrape_interval: 250ms}}
scrape_configs: [{{job_name: streamer, honor_labels: true, static_configs: [{{targets: {targets}}}]}}]
"""


@contextmanager
def served(folder: Path, addresses: Sequence[str]) -> Iterator[str]:
    """The address of a real Prometheus server that scrapes these pages.

    It is told of them when it starts, since it looks only every five seconds whether there are others.
    """
    program = shutil.which("prometheus")
    if program is None:
        reason = "there is no prometheus (apt-get install prometheus)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    targets = json.dumps([address.split("/")[2] for address in addresses])
    (folder / "prometheus.yml").write_text(_CONFIG.format(targets=targets))
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
    ]
    with (folder / "prometheus.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            _wait_for(f"http://{address}/-/ready")
            yield f"http://{address}"
        finally:
            process.terminate()


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        try:
            with urlopen(url):
                return
        except (URLError, ConnectionError):
            Event().wait(_LOOK_S)
    raise AssertionError(f"{url} does not answer")
