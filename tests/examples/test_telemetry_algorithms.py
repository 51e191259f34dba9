"""Example 02 does what its README says, algorithm by algorithm.

The source reads the processes of this machine for real, as it must cope with whatever they do.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from types import ModuleType
from typing import Any

import psutil
import pytest

from streamer.testing import run
from tests.examples.example import EXAMPLES, Outbox, load_algorithm

EXAMPLE = "02-telemetry"


def reading(**changed: Any) -> dict[str, Any]:
    plain = {"time": 100.0, "pid": 7, "name": "sh", "cpu_percent": 0.0, "memory_mib": 0.0, "io_mib_s": 0.0}
    return plain | changed


@pytest.fixture
def processes() -> ModuleType:
    return load_algorithm(EXAMPLE, "processes")


def test_every_process_is_read_from_its_second_look_on(processes: ModuleType) -> None:
    host = processes.Host()

    first, second = list(host.readings()), list(host.readings())

    assert first == []
    assert psutil.Process().pid in {taken["pid"] for taken in second}
    assert all(taken["cpu_percent"] >= 0 and taken["memory_mib"] >= 0 and taken["io_mib_s"] >= 0 for taken in second)


def test_a_process_that_vanishes_is_forgotten(processes: ModuleType) -> None:
    host = processes.Host()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    list(host.readings())
    assert child.pid in host.observed

    child.communicate(b"\n", timeout=60)

    assert child.pid not in {taken["pid"] for taken in host.readings()}
    assert child.pid not in host.observed


def test_a_process_that_vanishes_between_two_looks_at_it_is_forgotten(processes: ModuleType) -> None:
    host = processes.Host()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    list(host.readings())
    turn = host.readings()
    next(turn)

    child.communicate(b"\n", timeout=60)

    assert child.pid not in {taken["pid"] for taken in turn}
    assert child.pid not in host.observed


def test_the_source_sends_until_it_is_stopped(processes: ModuleType) -> None:
    enough = threading.Event()

    class Api(Outbox):
        def sendMessage(self, msg: Any, flowName: str | None = None) -> None:  # noqa: N802, N803 - the api's names
            super().sendMessage(msg, flowName)
            if len(self.sent) == 10:
                enough.set()

    api = Api()
    source = threading.Thread(target=processes.start, args=({"input": [1000]}, api), daemon=True)
    source.start()
    assert enough.wait(30)

    processes.stop({})
    source.join(30)

    assert not source.is_alive()
    assert {flow for _, flow in api.sent} == {None}


@pytest.mark.parametrize(
    ("changed", "points", "because"),
    [
        pytest.param({}, 0.0, None, id="an idle process"),
        pytest.param({"cpu_percent": 50.0}, 5.0, "cpu_percent", id="a busy one"),
        pytest.param({"cpu_percent": 10.0, "memory_mib": 5000.0}, 10.0, "memory_mib", id="a large one"),
        pytest.param({"io_mib_s": 20.0}, 4.0, "io_mib_s", id="one that writes"),
    ],
)
def test_the_score_is_that_of_the_most_unusual_dimension(
    changed: dict[str, float], points: float, because: str | None
) -> None:
    score = load_algorithm(EXAMPLE, "score")

    scored = score.start({"input": [100.0], "streamInput": {"message": reading(**changed)}}, Outbox())

    assert scored["score"] == points
    assert because is None or scored["because"] == because


@pytest.mark.parametrize(("cpu_percent", "alerts"), [(29.0, 0), (30.0, 1)])
def test_only_an_outlier_takes_the_alert_flow(cpu_percent: float, alerts: int) -> None:
    score = load_algorithm(EXAMPLE, "score")
    api = Outbox()

    scored = score.start({"input": [3.0], "streamInput": {"message": reading(cpu_percent=cpu_percent)}}, api)

    assert api.sent == [(scored, "alert")] * alerts


def test_a_summary_comes_once_a_second_of_the_readings() -> None:
    summaries: list[dict[str, Any]] = []
    board = load_algorithm(EXAMPLE, "aggregate").Board(send=summaries.append)

    for tick in range(35):
        board.take(reading(time=100 + tick / 10, score=1.0), "score")

    assert [summary["time"] for summary in summaries] == [101.0, 102.0, 103.0]


def test_a_summary_holds_the_newest_reading_of_each_living_process() -> None:
    summaries: list[dict[str, Any]] = []
    board = load_algorithm(EXAMPLE, "aggregate").Board(send=summaries.append)

    board.take(reading(time=100.0, pid=1, cpu_percent=99.0, score=9.9), "score")
    board.take(reading(time=105.5, pid=2, cpu_percent=20.0, score=2.0), "score")
    board.take(reading(time=105.2, pid=2, cpu_percent=90.0, score=9.0), "score")
    summaries.clear()
    board.take(reading(time=107.0, pid=3, cpu_percent=5.0, score=0.5), "score")

    [summary] = summaries
    assert summary["processes"] == 2
    assert summary["cpu_percent"] == 25.0
    assert summary["busiest"] == ["sh (2): 2.0", "sh (3): 0.5"]


def test_readings_are_scored_and_summed_up_and_outliers_are_told() -> None:
    readings = [reading(time=100 + tick / 10, cpu_percent=50.0 if tick % 7 == 0 else 0.0) for tick in range(35)]
    single = ["nodes.score.minStatelessCount=1"]

    played = run(EXAMPLES / EXAMPLE, {"processes": readings}, settings=single)

    assert [summary["time"] for summary in played["summaries"]] == [101.0, 102.0, 103.0]
    assert [(alert["time"], alert["because"]) for alert in played["alerts"]] == [
        (reading["time"], "cpu_percent") for reading in readings if reading["cpu_percent"]
    ]
