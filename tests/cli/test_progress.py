"""Without a terminal: one line every five seconds that stands for itself, and what algorithms print between."""

from __future__ import annotations

from streamer.cli.progress import ProgressLog
from streamer.control.jobs import JobStatus
from streamer.metrics.samples import EdgeSample
from tests.cli.watched import sample, snapshot


def test_a_line_is_written_every_five_seconds() -> None:
    lines: list[str] = []
    log = ProgressLog(lines.append)

    for tick in range(161):
        log.show(snapshot(tick / 10))

    assert [line.split()[0] for line in lines] == ["00:05", "00:10", "00:15"]


def test_a_gap_is_not_made_up_for() -> None:
    lines: list[str] = []
    log = ProgressLog(lines.append)

    for second in (0.0, 23.0, 23.1, 24.9, 25.0):
        log.show(snapshot(second))

    assert [line.split()[0] for line in lines] == ["00:23", "00:25"]


def test_a_line_tells_rates_troubles_and_latencies() -> None:
    lines: list[str] = []
    log = ProgressLog(lines.append)
    log.show(snapshot(0))
    log.show(
        snapshot(
            5,
            sample("lines-0", failed=1, edge=EdgeSample("parse", sent=50_000, in_flight=1200, backlog_messages=7)),
            sample("parse-0", edge=EdgeSample("save", sent=500, dropped={"reset": 1}, dead_lettered=2, redelivered=3)),
            sample("save-0", latencies={1: 10}),
            status=JobStatus.STOPPING,
            restarts={"parse": 4},
        )
    )

    assert lines == [
        "00:05 stopping  in 10,000/s  out 100/s  backlog 7  in flight 1,200  dropped 1  dead letters 2  redelivered 3"
        "  failed 1  restarts 4  main p50 750 us p99 995 us"
    ]


def test_what_an_algorithm_prints_has_node_and_instance_before_it() -> None:
    lines: list[str] = []
    log = ProgressLog(lines.append)

    log.output("parse", "parse-1", "hello")
    log.notice("draining")

    assert lines == ["parse parse-1 | hello", "draining"]
