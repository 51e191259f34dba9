"""Sides beside one reference, for a moment each: every side of a case carries messages and loses none."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.scenario import chain, codecs, opaque, payloads, shape
from benchmarks.scenario.codecs import without_msgspec
from benchmarks.scenario.engine import EngineSide, algorithm, plan_of, source
from benchmarks.scenario.pairs import Effort
from benchmarks.scenario.rounds import Rounds, taken
from benchmarks.scenario.side import Figures, measure
from benchmarks.scenario.straight import StraightSide
from benchmarks.scenario.straight_stage import WAYS
from benchmarks.scenario.tally import Tally

_A_MOMENT = Effort(pairs=1, window_s=0.2, warm_up_s=0.0, tries=1)
_ALL = [opaque.ROUNDS, codecs.ROUNDS, payloads.ROUNDS, chain.ROUNDS, shape.ROUNDS]


@pytest.mark.parametrize("rounds", _ALL, ids=lambda rounds: rounds.name)
def test_cases_and_their_sides_are_told_apart_by_their_names(rounds: Rounds) -> None:
    assert len({case.name for case in rounds.cases}) == len(rounds.cases)
    for case in rounds.cases:
        assert len({case.reference.name, *(side.name for side in case.entrants)}) == 1 + len(case.entrants)


@pytest.mark.parametrize(
    ("rounds", "only"),
    [
        pytest.param(opaque.ROUNDS, "connector -> relay -> sink, 100 B", id="opaque"),
        pytest.param(codecs.ROUNDS, "connector -> sink", id="codecs"),
        pytest.param(payloads.ROUNDS, "1,024 KiB", id="payloads"),
    ],
)
def test_each_side_has_its_ratio_to_the_reference(rounds: Rounds, only: str) -> None:
    case = next(case for case in rounds.cases if only in case.name)

    figures = rounds.summarize(case, taken(case, _A_MOMENT))

    assert [figure["side"] for figure in figures] == [side.name for side in case.entrants]
    for figure in figures:
        assert figure["ratio"] == pytest.approx(figure["per_s"] / figure["reference_per_s"], rel=0.1)
        assert f"| {case.name} | {figure['side']} | **{figure['ratio']:.2f}** |" in rounds.table(figures)


@pytest.mark.parametrize(
    ("make", "count", "processes"),
    [
        pytest.param(shape.flows, 3, {"source", "spread", "sink"}, id="flows"),
        pytest.param(shape.consumers, 2, {"source", "sink", "sink-1"}, id="consumers"),
        pytest.param(shape.producers, 2, {"source0", "source1", "sink"}, id="producers"),
    ],
)
def test_all_processes_of_a_shape_are_measured(
    make: Callable[[int, Path], EngineSide], count: int, processes: set[str], tmp_path: Path
) -> None:
    assert set(measure(lambda: make(count, tmp_path), warm_up_s=0.1, window_s=0.2).cpu_us) == processes


def test_a_hop_is_compared_with_one_of_the_shortest_chain() -> None:
    taken_before = {
        "3 processes": [Figures(1000.0, {"source": 1.0, "relay1": 2.0, "sink": 1.0}, 0.1)],
        "4 processes": [Figures(500.0, {"source": 1.0, "relay1": 2.0, "relay2": 2.6, "sink": 1.0}, 0.2)],
        "5 processes": [Figures(250.0, {"source": 2.0, "relay1": 5.0, "relay2": 5.0, "relay3": 2.0, "sink": 2.0}, 0.2)],
    }

    figures = chain.ROUNDS.summarize(chain.CHAIN, taken_before)

    assert [figure["cpu_us_hop"] for figure in figures] == [2.0, 2.2, 4.0]
    assert [figure["cpu_ratio"] for figure in figures] == [1.0, 1.1, 2.0]
    assert [figure["rate_ratio"] for figure in figures] == [1.0, 0.5, 0.25]
    assert "| 5 processes | 4.00 | **2.00** |" in chain.ROUNDS.table(figures)


def test_a_chain_carries_messages_over_all_its_processes(tmp_path: Path) -> None:
    figures = measure(lambda: chain.engine(5, tmp_path), warm_up_s=0.1, window_s=0.2)

    assert set(figures.cpu_us) == {"source", "relay1", "relay2", "relay3", "sink"}


def test_a_command_writes_the_figures_of_its_cases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.json"
    options = ["--rounds", "1", "--window", "0.2", "--only", "64 KiB", "--json", str(out)]

    assert payloads.ROUNDS.main(options) == 0

    (figure,) = json.loads(out.read_text())["figures"]
    assert figure["case"] == "connector -> sink, 64 KiB"
    assert f"**{figure['ratio']:.2f}**" in capsys.readouterr().out


@pytest.mark.parametrize("way", WAYS)
def test_each_way_of_the_reference_carries_messages_over_a_relay_and_loses_none(way: str, tmp_path: Path) -> None:
    side = StraightSide(tmp_path / "tally", 100, relay=True, way=WAYS[way], rate=1000)

    assert measure(lambda: side, warm_up_s=0.1, window_s=0.2).rate > 0


def test_instances_get_the_variables_that_hide_msgspec(tmp_path: Path) -> None:
    nodes = [source(100), algorithm("sink", "stateful", "count", str(tmp_path / "tally"))]
    variables = without_msgspec()

    with EngineSide(plan_of(nodes, tmp_path), tmp_path, Tally(tmp_path / "tally"), environment=variables) as side:
        while not side.shown:
            side.go_on(0.02)
        given = [process.environ()["PYTHONPATH"] for process in side.processes().values()]
        side.stop()

    assert given == [variables["PYTHONPATH"]] * 2


def test_the_codec_goes_without_msgspec_where_it_is_hidden() -> None:
    code = "from streamer.protocol import codec; raise SystemExit(codec.msgspec is not None)"

    assert subprocess.run([sys.executable, "-c", code], env={**without_msgspec()}, check=False).returncode == 0
