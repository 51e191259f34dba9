"""A job that carries nothing is watched: every instance and the supervisor have their share."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from benchmarks.processes import cpu_s, exact_cpu_s
from benchmarks.scenario import idle
from benchmarks.scenario.idle import CASES


def test_an_edge_is_one_between_two_instances() -> None:
    assert [case.edges for case in CASES] == [2, 8]
    assert len({case.name for case in CASES}) == len(CASES)


BUSY = "import sys, time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\nsys.stdin.read()"


def test_an_exact_cpu_time_is_about_the_usual_one() -> None:
    with subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as busy:
        assert busy.stdout is not None
        busy.stdout.readline()
        process = psutil.Process(busy.pid)

        assert exact_cpu_s(process) == pytest.approx(cpu_s(process), rel=0.2, abs=0.1)
        assert exact_cpu_s(process) >= 0.3
        busy.communicate()


def test_an_idle_job_costs_little_and_all_of_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.json"

    assert idle.main(["--rounds", "2", "--window", "0.5", "--only", CASES[0].name, "--json", str(out)]) == 0

    (figure,) = json.loads(out.read_text())["figures"]
    assert set(figure["percent_by_instance"]) == {"source", "relay", "sink"}
    assert 0 < figure["percent_an_edge"] < 20
    assert figure["percent_an_edge"] == pytest.approx(sum(figure["percent_by_instance"].values()) / 2, abs=0.01)
    assert figure["percent_supervisor"] > 0
    assert figure["aims"]["percent_an_edge"]["found"] == figure["percent_an_edge"]
    told = capsys.readouterr().out
    assert f"| {CASES[0].name} | 2 | **{figure['percent_an_edge']:.2f}** | ≤ 0.5 |" in told
