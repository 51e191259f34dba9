"""The comparisons with other engines work, for a moment each, where the peers are installed.

Where they are not, a peer that stands in for them goes through the same driver: what can go wrong with the processes of
a peer is not the peers' own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from benchmarks.peers import engines, environment, hkube
from benchmarks.peers.environment import PROGRAMS, PeersError
from benchmarks.peers.side import PeerSide, Program
from benchmarks.scenario.side import BenchmarkError, Side, measure, warm_up
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


def test_where_the_peers_are_missing_it_is_told_how_to_get_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert environment.present(("bytewax",), tmp_path) is None

    told = capsys.readouterr().err
    assert told.startswith(f"there is no {tmp_path}")
    assert "Run `make peers`" in told


def test_who_needs_no_peers_is_told_of_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert environment.present((), tmp_path) == {}
    assert capsys.readouterr().err == ""


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


@pytest.mark.parametrize(
    "make", [pytest.param(engines.our_map, id="map"), pytest.param(engines.our_count, id="count by key")]
)
def test_our_side_carries_messages_and_settles_them_all(make: Callable[[Path], Side], tmp_path: Path) -> None:
    assert measure(lambda: make(tmp_path), warm_up_s=0.1, window_s=0.5).rate > 0


@needs_peers
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(partial(hkube.side, 1000, False), id="HKube"),
        pytest.param(partial(engines.bytewax, "map"), id="Bytewax, map"),
        pytest.param(partial(engines.bytewax, "count"), id="Bytewax, count"),
        pytest.param(partial(engines.fed, "pathway_map.py"), id="Pathway"),
        pytest.param(partial(engines.fed, "streamz_map.py"), id="streamz"),
    ],
)
def test_another_engine_carries_messages_and_loses_none(make: Callable[[Path], Side], tmp_path: Path) -> None:
    figures = measure(lambda: make(tmp_path), warm_up_s=0.5, window_s=1.0)

    assert figures.rate > 0
    assert figures.lost == 0


@needs_peers
def test_hkube_has_no_processes_beside_those_that_are_measured(tmp_path: Path) -> None:
    with hkube.side(1000, True, tmp_path) as side:
        warm_up(side, 0.0)

        assert not any(process.children(recursive=True) for process in side.processes().values())
        side.stop()
