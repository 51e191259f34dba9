"""`autoscaler simulate`: its table, its line of JSON, pipelines of the user's, and every fault of its input at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from autoscaler.simulation.command import SimulateOptions, simulate_command
from streamer.errors import StreamerError

PIPELINE = """
name: words
kind: stream
nodes:
  - {nodeName: lines, kind: source, spec: {connector: generator, count: 10}}
  - {nodeName: parse, kind: algorithm, algorithmName: parse, stateType: stateless, maxStatelessCount: 20}
  - {nodeName: count, kind: algorithm, algorithmName: parse, stateType: stateful}
  - {nodeName: retry, kind: algorithm, algorithmName: parse, stateType: stateless}
streaming: {flows: {main: lines >> parse >> count | parse >> retry >> parse}}
---
{name: parse, code: {path: parse.py}}
"""


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    (tmp_path / "parse.py").write_text("def start(args): ...\n", encoding="utf-8")
    file = tmp_path / "pipeline.yaml"
    file.write_text(PIPELINE, encoding="utf-8")
    return file


@pytest.fixture
def trace(tmp_path: Path) -> str:
    file = tmp_path / "jump.csv"
    file.write_text("0,50\n100,400\n300,50\n", encoding="utf-8")
    return str(file)


def _json(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, dict[str, float]]]:
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    found: dict[str, dict[str, dict[str, float]]] = json.loads(out)
    return found


def test_json_is_one_line_of_criteria_by_rule_and_trace(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    simulate_command(SimulateOptions(trace=trace, as_json=True))

    found = _json(capsys)
    assert list(found) == ["streamer", "hkube", "numaflow", "keda", "hpa", "flink", "ds2"]
    for traces in found.values():
        assert list(traces) == ["jump.csv"]
        assert set(traces["jump.csv"]) == {
            "late_fraction",
            "oracle_ratio",
            "reversals_per_hour",
            "decisions_to_settle",
            "max_replicas",
        }


def test_the_same_seed_gives_the_same_figures_and_another_one_others(
    trace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = []
    for seed in (1, 1, 2):
        simulate_command(SimulateOptions(trace=trace, rule="streamer", seed=seed, as_json=True))
        found.append(_json(capsys))

    assert found[0] == found[1]
    assert found[0] != found[2]


def test_the_table_has_a_line_for_each_rule_and_trace(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    simulate_command(SimulateOptions(trace=trace, rule="ds2"))

    heading, line = capsys.readouterr().out.splitlines()
    assert heading.split()[:4] == ["rule", "trace", "late", "%"]
    assert line.split()[:2] == ["ds2", "jump.csv"]


def test_a_pipeline_is_simulated_with_its_bounds_its_cycles_and_what_is_said_of_it(
    pipeline: Path, trace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = SimulateOptions(
        files=(pipeline,),
        trace=trace,
        rule="streamer",
        rates=("parse=20",),
        selectivities=("parse:retry=0.2", "retry:parse=0.5"),
        as_json=True,
    )

    simulate_command(options)

    figures = _json(capsys)["streamer"]["jump.csv"]
    assert figures["max_replicas"] >= 20, "400 messages/s and a tenth again, at 20 each, but no more than 20 replicas"
    assert figures["late_fraction"] > 0


def test_every_fault_of_the_input_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    options = SimulateOptions(
        trace="mountain", rule="oracle", start_up_s=0, mu_error=-1.0, picture=Path("picture.gif"), rates=("a",)
    )

    with pytest.raises(StreamerError) as raised:
        simulate_command(options)

    for said in (
        "no trace mountain",
        "no rule oracle",
        "--startup is 0",
        "--mu-error is -1",
        "picture.gif",
        "--rate a",
    ):
        assert said in str(raised.value)
    assert "hkube" in raised.value.advice
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("rates", "selectivities", "said"),
    [
        (("nobody=3",), (), "there is no node nobody"),
        (("count=3",), (), "count is a stateful node of one instance"),
        ((), ("parse:lines=1",), "there is no edge parse:lines"),
        ((), ("parse=1",), "names no edge"),
        (("parse=0",), (), "--rate parse=0 cannot be read"),
    ],
)
def test_what_is_said_of_a_pipeline_must_fit_it(
    rates: tuple[str, ...], selectivities: tuple[str, ...], said: str, pipeline: Path, trace: str
) -> None:
    options = SimulateOptions(files=(pipeline,), trace=trace, rates=rates, selectivities=selectivities)

    with pytest.raises(StreamerError) as raised:
        simulate_command(options)

    assert said in str(raised.value)


def test_findings_of_a_descriptor_are_told(tmp_path: Path, trace: str) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text("name: words\nkind: stream\nnodes: []\n", encoding="utf-8")

    with pytest.raises(StreamerError, match="broken"):
        simulate_command(SimulateOptions(files=(file,), trace=trace))


def test_the_least_above_the_most_is_a_finding(pipeline: Path, trace: str) -> None:
    pipeline.write_text(PIPELINE.replace("maxStatelessCount: 20", "minStatelessCount: 30, maxStatelessCount: 20"))

    with pytest.raises(StreamerError, match="minStatelessCount"):
        simulate_command(SimulateOptions(files=(pipeline,), trace=trace))


def test_a_picture_is_drawn_if_matplotlib_is_there(trace: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra plot is not installed")

    simulate_command(SimulateOptions(trace=trace, rule="streamer", picture=tmp_path / "picture.svg"))

    assert (tmp_path / "picture.svg").stat().st_size > 1000


def _typed(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "autoscaler", "simulate", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [("--rule", "oracle", "there is no rule oracle"), ("--spares", "-1", "spares is -1, and must not be negative")],
)
def test_the_command_ends_with_a_clear_error_and_code_two(option: str, value: str, told: str) -> None:
    done = _typed(option, value)

    assert done.returncode == 2
    assert done.stdout == ""
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_spares_are_at_work_beside_what_the_load_needs(trace: str) -> None:
    cost = []
    for spares in ("0", "3"):
        done = _typed("--trace", trace, "--rule", "streamer", "--json", "--spares", spares)
        cost.append(json.loads(done.stdout)["streamer"]["jump.csv"]["oracle_ratio"])

    assert cost[1] > cost[0]
