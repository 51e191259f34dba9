"""Starts are timed, and what a waiting message costs is found between two jobs that differ in nothing else."""

from __future__ import annotations

import json
import time
from pathlib import Path

import psutil
import pytest

from benchmarks.processes import age_s
from benchmarks.scenario import footprint
from benchmarks.scenario.footprint import Waiting


def test_a_process_is_as_old_as_it_says() -> None:
    process = psutil.Process()

    assert age_s(process) == pytest.approx(time.time() - process.create_time(), abs=2.0)


@pytest.mark.parametrize("case", [case for case in footprint.CASES if isinstance(case, footprint.StartUp)])
def test_a_start_takes_a_moment(case: footprint.StartUp) -> None:
    figure = footprint.started(case, 1)

    assert 0.05 < figure["start_s"] < 60
    assert f"| {case.name} | **{figure['start_s']:.2f}** |" in footprint.table([figure])


def test_a_waiting_message_costs_its_payload_and_a_little_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"

    assert footprint.main(["--only", Waiting(1000).name, "--json", str(out)]) == 0

    (figure,) = json.loads(out.read_text())["figures"]
    assert figure["bytes_a_message"] == figure["bytes_over_payload"] + 1000
    assert 0 < figure["bytes_over_payload"] < 1000
    assert "bytes over the payload" in capsys.readouterr().out
