"""The comparisons with other engines work, for a moment each, where the peers are installed.

Where they are not, a peer that stands in for them goes through the same driver: what can go wrong with the processes of
a peer is not the peers' own.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHMARKS
from benchmarks.peers import engines, environment, hkube
from benchmarks.peers.comparison import figure_of, table
from benchmarks.peers.environment import PROGRAMS, PeersError
from benchmarks.peers.side import PeerSide, Program
from benchmarks.scenario.side import BenchmarkError, Figures, Side, measure
from tests.house.source import ROOT, modules

STAND_IN = Path(__file__).resolve().parent / "stand_in_peer.py"
NO_PEERS = not (environment.HOME / "bin" / "python").exists()
needs_peers = pytest.mark.skipif(NO_PEERS, reason="the peers are not installed: make peers")


@pytest.fixture(autouse=True)
def _from_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes of the benchmarks find their modules in the folder in which they are started."""
    monkeypatch.chdir(ROOT)


def _stand_in(folder: Path, fate: str = "all") -> PeerSide:
    programs = [Program(name, STAND_IN, (str(PROGRAMS), name, fate)) for name in ("source", "sink")]
    return PeerSide(Path(sys.executable), programs, folder)


def test_a_peer_is_measured_by_the_same_driver(tmp_path: Path) -> None:
    figures = measure(lambda: _stand_in(tmp_path), warm_up_s=0.1, window_s=0.2)

    assert figures.rate > 0
    assert set(figures.cpu_us) == {"source", "sink"}
    assert figures.lost == 0


def test_what_a_peer_loses_is_counted_and_no_error(tmp_path: Path) -> None:
    assert measure(lambda: _stand_in(tmp_path, "lose"), warm_up_s=0.0, window_s=0.2).lost == 1


def test_a_message_that_arrives_twice_spoils_the_measurement(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"\d+ messages were sent, and \d+ have arrived"):
        measure(lambda: _stand_in(tmp_path, "repeat"), warm_up_s=0.0, window_s=0.2)


@pytest.mark.parametrize("fate", [pytest.param("refuse", id="at its start"), pytest.param("fall", id="under way")])
def test_a_peer_that_ends_is_told_with_its_last_words(fate: str, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"(?s)source of the peer has .*I cannot go on"):
        measure(lambda: _stand_in(tmp_path, fate), warm_up_s=1.0, window_s=0.2)


def test_without_the_peers_a_command_ends_and_says_how_to_get_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        environment.used(argparse.ArgumentParser(prog="compare"), ("bytewax",), tmp_path)

    assert ended.value.code == 1
    told = capsys.readouterr().err
    assert told.startswith(f"compare: there is no {tmp_path}")
    assert "Run `make peers`" in told


def test_a_peer_that_is_not_installed_is_named(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)

    with pytest.raises(PeersError, match="lacks one of no-such-peer"):
        environment.versions(("no-such-peer",), tmp_path)


def test_the_programs_of_the_peers_import_nothing_of_ours() -> None:
    for module in modules("benchmarks/peers/programs"):
        assert "import streamer" not in module.text
        assert "from streamer" not in module.text
        assert "from benchmarks" not in module.text


def test_the_cases_are_told_apart_by_their_names() -> None:
    assert len({case.name for case in hkube.CASES}) == len(hkube.CASES)
    assert len({case.name for case in engines.CASES}) == len(engines.CASES)
    assert {hkube.NAME, engines.NAME} <= set(BENCHMARKS)


def test_a_comparison_tells_the_ratio_the_aim_and_the_losses() -> None:
    ours, theirs = Figures(1000.0, {"source": 1.0, "sink": 2.0}, 0.0), Figures(10.0, {"source": 600.0}, 0.1, lost=7)

    figure = figure_of(hkube.RATES[0], [(ours, theirs)])

    assert (figure["ratio"], figure["cpu_ratio"], figure["aim"], figure["peer_lost"]) == (100.0, 200.0, 200, 7)
    assert f"| {hkube.RATES[0].name} | **100** | 100 to 100 | 200 | 200 |" in table("pipeline", [figure])


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda folder: hkube.engine(hkube.RATES[0], folder), id="source to sink"),
        pytest.param(lambda folder: hkube.engine(hkube.RATES[-1], folder), id="large messages"),
        pytest.param(lambda folder: engines.engine(engines.CASES[0], folder), id="map"),
        pytest.param(lambda folder: engines.engine(engines.CASES[-1], folder), id="count by key"),
    ],
)
def test_our_side_carries_messages_and_settles_them_all(make: Callable[[Path], Side], tmp_path: Path) -> None:
    assert measure(lambda: make(tmp_path), warm_up_s=0.1, window_s=0.5).rate > 0


@needs_peers
@pytest.mark.parametrize(
    "only",
    [
        pytest.param("relay -> sink, stateless, 100 B", id="stateless"),
        pytest.param("connector -> sink, stateful, 1,000 B", id="stateful"),
        pytest.param("one at a time", id="latency"),
    ],
)
def test_hkube_is_compared_with(only: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.json"

    assert hkube.main(["--pairs", "1", "--window", "0.5", "--only", only, "--json", str(out)]) == 0

    written = json.loads(out.read_text())
    (figure,) = written["figures"]
    assert figure["ratio"] > 0
    assert written["versions"]["hkube-python-wrapper"] == "2.4.2"
    assert f"| {figure['case']} | **" in capsys.readouterr().out


@needs_peers
@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in engines.CASES])
def test_another_engine_carries_messages_and_loses_none(case: engines.Case, tmp_path: Path) -> None:
    figures = measure(lambda: engines.peer(case, tmp_path), warm_up_s=0.5, window_s=1.0)

    assert figures.rate > 0
    assert figures.lost == 0
