"""Sides beside one reference, for a moment each: every side of a case carries messages and loses none."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.aims import Aim
from benchmarks.peers import engines
from benchmarks.scenario import chain, payloads, rounds, shape, throughput, wire
from benchmarks.scenario.engine import EngineSide, algorithm, plan_of, source
from benchmarks.scenario.pairs import Effort
from benchmarks.scenario.rounds import Case, Entrant, Rounds, summaries, table, taken
from benchmarks.scenario.side import Figures, measure
from benchmarks.scenario.straight import StraightSide
from benchmarks.scenario.straight_stage import WAYS
from benchmarks.scenario.tally import Tally
from benchmarks.scenario.throughput import Pipeline, without_msgspec
from tests.benchmarks.test_peers import needs_peers

_A_MOMENT = Effort(pairs=1, window_s=0.2, warm_up_s=0.0, tries=1)
_ALL = [throughput.ROUNDS, payloads.ROUNDS, chain.ROUNDS, shape.ROUNDS, engines.ROUNDS, wire.ROUNDS]


def _figures(rate: float, *, lost: int = 0) -> Figures:
    return Figures(rate, {"source": 400.0 / rate, "sink": 600.0 / rate}, 0.1, lost, stolen_cores=0.04)


@pytest.mark.parametrize("benchmark", _ALL, ids=lambda benchmark: benchmark.name)
def test_cases_and_their_sides_are_told_apart_by_their_names(benchmark: Rounds) -> None:
    assert len({case.name for case in benchmark.cases}) == len(benchmark.cases)
    for case in benchmark.cases:
        names = {entrant.name for entrant in case.entrants}
        assert len(names) == len(case.entrants)
        assert all(entrant.beside.keys() <= names for entrant in case.entrants)


def _some_side(_folder: Path) -> StraightSide:
    raise AssertionError("nothing is measured here")


_PEER = Entrant("peer", _some_side, packages=("no-such-peer",))
_OURS = Entrant("ours", _some_side, {"peer": Aim("a rate", 50), "plain": None}, {"peer": Aim("a CPU time", 100)})
_BOTH = Case("work", [_PEER, Entrant("plain", _some_side), _OURS])
_ALONE = Case("beside the peer alone", [_PEER, Entrant("ours", _some_side, {"peer": Aim("a rate", 50)})])
_TAKEN = {
    "peer": [_figures(10.0, lost=3), _figures(20.0, lost=4)],
    "plain": [_figures(1000.0), _figures(1000.0)],
    "ours": [_figures(1000.0), _figures(500.0)],
}


def test_each_side_has_its_ratio_to_each_reference_of_the_same_round() -> None:
    peer, plain = summaries(_BOTH, _TAKEN)

    assert (peer["beside"], peer["ratio"], peer["ratio_min"], peer["ratio_max"]) == ("peer", 62.5, 25.0, 100.0)
    assert (peer["cpu_ratio"], peer["reference_lost"]) == (62.5, 7)
    assert {name: (aim["bound"], aim["reached"]) for name, aim in peer["aims"].items()} == {
        "ratio": (50, True),
        "cpu_ratio": (100, False),
    }
    assert (plain["beside"], plain["ratio"], plain["aims"], plain["reference_lost"]) == ("plain", 0.75, {}, None)


def test_there_is_a_table_for_each_reference() -> None:
    beside_peer, beside_plain = table(summaries(_BOTH, _TAKEN)).split("\n\n")

    assert "| work | ours | **62** | 25 to 100 | ≥ 50 | yes | 62 | ≥ 100 | no | 750 | 15 |" in beside_peer
    assert "| 7 | 0.10 | 0.04 |" in beside_peer
    assert "| work | ours | **0.75** | 0.50 to 1.00 | 0.75 | 750 | 1,000 |" in beside_plain


def test_without_the_peers_the_others_are_taken_and_that_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    cases, versions = rounds.with_peers([_BOTH, _ALONE])

    assert [[entrant.name for entrant in case.entrants] for case in cases] == [["plain", "ours"]]
    assert versions == {}
    assert "Run `make peers`" in capsys.readouterr().err


def test_a_benchmark_that_is_beside_peers_alone_fails_without_them(tmp_path: Path) -> None:
    assert Rounds("alone", "Beside peers alone.", [_ALONE]).main(["--json", str(tmp_path / "out.json")]) == 1
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize(
    "pipeline",
    [
        pytest.param(Pipeline("connector", True, "stateless", 100), id="connector, stateless relay"),
        pytest.param(Pipeline("connector", True, "stateful", 1000), id="connector, stateful relay"),
        pytest.param(Pipeline("algorithm", False, "stateful", 100), id="algorithm"),
    ],
)
def test_the_engine_carries_messages_and_settles_them_all(pipeline: Pipeline, tmp_path: Path) -> None:
    figures = measure(lambda: throughput.engine(pipeline, tmp_path), warm_up_s=0.1, window_s=0.3)

    assert figures.rate > 0
    assert list(figures.cpu_us) == (["source", "relay", "sink"] if pipeline.relay else ["source", "sink"])


@pytest.mark.parametrize(
    ("benchmark", "only", "sides"),
    [
        pytest.param(
            throughput.ROUNDS,
            "source -> sink, 100 B",
            [
                "stateless",
                "stateful",
                "stateless, without msgspec",
                "stateful, without msgspec",
                "stateful, behind an algorithm",
            ],
            id="throughput",
        ),
        pytest.param(payloads.ROUNDS, "1,024 KiB", ["engine"], id="payloads"),
        pytest.param(wire.ROUNDS, "one at a time", ["ipc"], id="wire"),
    ],
)
def test_all_sides_of_a_case_carry_messages(benchmark: Rounds, only: str, sides: list[str]) -> None:
    case = next(case for case in benchmark.cases if only in case.name).without_peers()

    figures = benchmark.summarize(case, taken(case, _A_MOMENT))

    assert list(dict.fromkeys(figure["side"] for figure in figures)) == sides
    for figure in figures:
        assert figure["ratio"] == pytest.approx(figure["per_s"] / figure["reference_per_s"], rel=0.1)
        assert f"| {case.name} | {figure['side']} | **" in benchmark.table(figures)


@needs_peers
@pytest.mark.parametrize(
    ("benchmark", "only"),
    [pytest.param(throughput.ROUNDS, "source -> relay -> sink, 100 B", id="throughput")]
    + [pytest.param(engines.ROUNDS, case.name, id=case.name) for case in engines.ROUNDS.cases],
)
def test_peers_are_compared_with(
    benchmark: Rounds, only: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"

    assert benchmark.main(["--rounds", "1", "--window", "0.5", "--only", only, "--json", str(out)]) == 0

    written = json.loads(out.read_text())
    (case,) = (case for case in benchmark.cases if case.name == only)
    peers = {entrant.name for entrant in case.entrants if entrant.packages}
    assert {figure["beside"] for figure in written["figures"]} >= peers
    assert all(figure["reference_lost"] == 0 for figure in written["figures"] if figure["beside"] in peers)
    assert set(case.packages) <= set(written["versions"])
    assert "| beside " in capsys.readouterr().out


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
    told = chain.ROUNDS.table(figures)
    assert "| 3 processes | 2.00 | **1.00** | 1.00 to 1.00 |  |  |" in told
    assert "| 4 processes | 2.20 | **1.10** | 1.10 to 1.10 | ≤ 1.1 | yes |" in told
    assert "| 5 processes | 4.00 | **2.00** | 2.00 to 2.00 | ≤ 1.1 | no |" in told


def test_a_chain_carries_messages_over_all_its_processes(tmp_path: Path) -> None:
    figures = measure(lambda: chain.engine(5, tmp_path), warm_up_s=0.1, window_s=0.2)

    assert set(figures.cpu_us) == {"source", "relay1", "relay2", "relay3", "sink"}


def test_a_command_writes_the_figures_of_its_cases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.json"
    options = ["--rounds", "1", "--window", "0.5", "--only", "64 KiB", "--json", str(out)]

    assert payloads.ROUNDS.main(options) == 0

    figures = json.loads(out.read_text())["figures"]
    assert {figure["case"] for figure in figures} == {"source -> sink, 64 KiB"}
    (figure,) = (figure for figure in figures if figure["beside"] == "straight")
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
