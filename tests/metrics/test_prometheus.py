"""A real Prometheus server finds a running job by discovery, and its metrics say what is true of the job."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from streamer.metrics.exposition import Observation, families
from tests.cli.command import Desk, Watched
from tests.docs.pages import snippets
from tests.examples.example import EXAMPLES
from tests.house.source import ROOT

PROMETHEUS = shutil.which("prometheus")
SHOWN_URL = "http://127.0.0.1:9464/sd"
NODES = {"processes": 1, "score": 2, "aggregate": 1, "summaries": 1, "alerts": 1}
EDGES = {("processes", "score"), ("score", "aggregate"), ("aggregate", "summaries"), ("score", "alerts")}
Labels = Mapping[str, str]


@dataclass(frozen=True)
class Prometheus:
    """A server on loopback, with its data in a folder of the test."""

    process: subprocess.Popen[bytes]
    url: str

    def query(self, expression: str) -> list[tuple[Labels, float]]:
        with urlopen(f"{self.url}/api/v1/query?query={quote(expression)}") as answer:
            found: dict[str, Any] = json.load(answer)
        return [(series["metric"], float(series["value"][1])) for series in found["data"]["result"]]

    def everything(self) -> dict[str, list[tuple[Labels, float]]]:
        """All series of ours now, by metric."""
        by_name = defaultdict(list)
        for labels, value in self.query('{__name__=~"streamer_.+"}'):
            by_name[labels["__name__"]].append((labels, value))
        return by_name

    def until(self, expression: str) -> None:
        """Wait until the expression holds for something; it looks again four times a second, for a minute."""
        for _ in range(240):
            with suppress(URLError, ConnectionError):  # it is starting
                if self.query(expression):
                    return
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=0.25)
                raise AssertionError("the server has ended")
        raise AssertionError(f"{expression} did not come true in a minute: {self.everything()}")


@contextmanager
def prometheus(folder: Path, discovery: str) -> Iterator[Prometheus]:
    assert PROMETHEUS is not None
    [shown] = [s for s in snippets(ROOT / "docs" / "operations.md", "yaml") if s.file == "prometheus.yml"]
    assert SHOWN_URL in shown.text
    (folder / "prometheus.yml").write_text(shown.text.replace(SHOWN_URL, discovery))
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        PROMETHEUS,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
    ]
    with (folder / "prometheus.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield Prometheus(process, f"http://{address}")
        finally:
            process.terminate()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    if PROMETHEUS is None:
        reason = "there is no prometheus (apt-get install prometheus)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    ignored = shutil.ignore_patterns("*.jsonl", "__pycache__")
    return Desk(Path(shutil.copytree(EXAMPLES / "02-telemetry", tmp_path / "telemetry", ignore=ignored)))


def started(job: Watched) -> tuple[str, str]:
    """The job's id and its discovery page."""
    name = job.until(lambda line: line.startswith("job ")).split()[1]
    url = job.until(lambda line: "metrics" in line).split()[1]
    return name, url.replace("/metrics", "/sd")


def expected_names() -> set[str]:
    """All but that of sources that can tell what they have still to read, of which the job has none."""
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
    return {
        family.name + suffix
        for family in families(Observation("j", "p"))
        for suffix in suffixes.get(family.type, ("",))
        if family.name != "streamer_source_unread_messages"
    }


def by(series: list[tuple[Labels, float]], *labels: str) -> dict[tuple[str, ...], float]:
    """Sums by these labels."""
    sums: dict[tuple[str, ...], float] = defaultdict(float)
    for found, value in series:
        sums[tuple(found.get(label, "") for label in labels)] += value
    return dict(sums)


def test_a_server_finds_every_metric_of_a_running_job_with_values_that_can_be_true(desk: Desk, tmp_path: Path) -> None:
    with desk.started("run", ".", "--json", "--input", "outlier=0") as job:
        name, discovery = started(job)
        with prometheus(tmp_path, discovery) as server:
            server.until('streamer_end_to_end_seconds_count{flow="main", node="summaries"} > 2')
            server.until('rate(streamer_messages_settled_total{source="processes"}[5s]) > 300')
            now = server.everything()
            up = by(server.query("up"), "job", "node", "instance")
            speeds = by(server.query("rate(streamer_messages_sent_total[5s])"), "source", "target")
        job.interrupt()
        done = job.finish()

    assert done.code == 0, done.stderr
    assert set(now) == expected_names()
    assert {(found["job"], found["pipeline"]) for series in now.values() for found, _ in series} == {
        (name, "telemetry")
    }
    instances = {f"{node}-{index}": node for node, count in NODES.items() for index in range(count)}
    assert {key: 1.0 for key in up if key[2] in instances} == {(name, node, i): 1.0 for i, node in instances.items()}
    assert len(up) == len(instances) + 1, "one more for the job as a whole"
    check_replicas(now)
    check_edges(now)
    check_times(now)
    assert speeds["processes", "score"] == pytest.approx(400, rel=0.5)
    seen = sum(by(now["streamer_messages_settled_total"], "source").values())
    told = sum(edge["settled"] for edge in done.account["edges"])
    assert 0 < seen <= told


def test_an_instance_that_comes_is_found_and_its_series_end_with_it(desk: Desk, tmp_path: Path) -> None:
    with desk.started("run", ".", "--json") as job:
        name, discovery = started(job)
        with prometheus(tmp_path, discovery) as server:
            server.until('streamer_messages_received_total{instance="score-1"} > 0')
            assert desk.run("scale", name, "score", 3).code == 0
            server.until('up{instance="score-2"} == 1 and streamer_messages_received_total{instance="score-2"} > 0')
            assert desk.run("scale", name, "score", 2).code == 0
            server.until('absent(streamer_messages_received_total{instance="score-2"})')
            assert server.query('streamer_messages_received_total{instance="score-1"}')
        job.interrupt()
        assert job.finish().code == 0


def check_replicas(now: Mapping[str, list[tuple[Labels, float]]]) -> None:
    assert by(now["streamer_replicas_desired"], "node") == {(node,): count for node, count in NODES.items()}
    states = by(now["streamer_replicas"], "node", "state")
    assert {node: states[node, "running"] for node in NODES} == NODES
    assert sum(states.values()) == sum(NODES.values())


def check_edges(now: Mapping[str, list[tuple[Labels, float]]]) -> None:
    ends = "source", "target"
    sent, settled = (by(now[f"streamer_messages_{end}_total"], *ends) for end in ("sent", "settled"))
    in_flight = by(now["streamer_edge_in_flight_messages"], *ends)
    assert set(sent) == EDGES
    assert all(sent[edge] == settled[edge] + in_flight[edge] for edge in EDGES)
    assert all(sent[edge] > 0 for edge in EDGES)
    for never in ("messages_dead_lettered", "messages_dropped", "redeliveries"):
        series = now[f"streamer_{never}_total"]
        assert set(by(series, *ends)) == EDGES
        assert all(value == 0 for _, value in series), never
    received = by(now["streamer_messages_received_total"], "node")
    # Each instance tells its own figures four times a second: they may be as far apart as a second's messages.
    assert received["aggregate",] == pytest.approx(settled["score", "aggregate"], abs=400)
    backlog, size = (by(now[f"streamer_edge_backlog_{unit}"], *ends) for unit in ("messages", "bytes"))
    assert all(0 <= backlog[edge] <= in_flight[edge] and backlog[edge] <= size[edge] < 64e6 for edge in EDGES)
    assert all(credit > 0 for credit in by(now["streamer_edge_credit_messages"], *ends).values())


def check_times(now: Mapping[str, list[tuple[Labels, float]]]) -> None:
    busy = by(now["streamer_handler_busy_seconds_total"], "instance")
    assert len(busy) == sum(NODES.values())
    assert all(0 <= value < 60 for value in busy.values())
    assert 0 < busy["score-0",] < 60
    assert all(0 <= value < 10 for _, value in now["streamer_oldest_unsettled_seconds"])
    for name in ("handler", "queue_wait", "end_to_end"):
        labels = ("instance", "flow") if name == "end_to_end" else ("instance",)
        counts, sums = (by(now[f"streamer_{name}_seconds_{part}"], *labels) for part in ("count", "sum"))
        buckets = now[f"streamer_{name}_seconds_bucket"]
        beyond = by([(found, value) for found, value in buckets if found["le"] == "+Inf"], *labels)
        assert beyond == counts, name
        assert sum(counts.values()) > 0, name
        assert all(0 <= sums[key] <= 10 * counts[key] for key in counts), name
    flows = {found["flow"] for found, _ in now["streamer_end_to_end_seconds_count"]}
    assert flows == {"main", "alert"}
