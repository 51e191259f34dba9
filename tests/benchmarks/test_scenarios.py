"""The scenarios work, for a moment each: both sides of a comparison carry messages and lose none."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType

import psutil
import pytest

from benchmarks.command import Named
from benchmarks.scenario import durability, memory, overload, recovery, settlement, state
from benchmarks.scenario.engine import EngineSide, algorithm, plan_of, source
from benchmarks.scenario.side import BenchmarkError, measure, measure_in_quiet
from benchmarks.scenario.straight import StraightSide
from benchmarks.scenario.switched import Switch
from benchmarks.scenario.tally import Tally
from streamer.control.jobs import EdgeAccount, JobAccount, JobStatus


@pytest.mark.parametrize("relay", [pytest.param(False, id="two processes"), pytest.param(True, id="three processes")])
def test_the_reference_carries_messages_and_loses_none(relay: bool, tmp_path: Path) -> None:
    figures = measure(lambda: StraightSide(tmp_path / "tally", 100, relay=relay), warm_up_s=0.1, window_s=0.2)

    assert figures.rate > 0
    assert set(figures.cpu_us) == ({"source", "relay", "sink"} if relay else {"source", "sink"})


def test_a_sink_that_counts_wrongly_spoils_the_measurement(tmp_path: Path) -> None:
    nodes = [source(100, rate=1000), algorithm("sink", "stateless", "count", str(tmp_path / "tally"))]
    elsewhere = Tally(tmp_path / "other")

    with EngineSide(plan_of(nodes, tmp_path), tmp_path, elsewhere) as side:
        while not side.received("sink"):
            side.go_on(0.02)
        with pytest.raises(BenchmarkError, match="were settled, 0 counted"):
            side.stop()


def test_the_cases_are_told_apart_by_their_names() -> None:
    assert len({case.name for case in durability.CASES}) == len(durability.CASES)
    assert len({case.name for case in settlement.CASES}) == len(settlement.CASES)
    assert len({case.name for case in state.CASES}) == len(state.CASES)
    assert len({case.name for case in recovery.cases(10)}) == len(recovery.cases(10))
    assert len({case.name for case in memory.CASES}) == len(memory.CASES)
    assert len({case.name for case in overload.CASES}) == len(overload.CASES)


@pytest.mark.parametrize(
    ("switch", "only"),
    [
        pytest.param(durability.SWITCH, "connector -> sink, 100 B", id="log"),
        pytest.param(settlement.SWITCH, "source -> relay -> sink, 100 B", id="settlement"),
        pytest.param(state.SWITCH, "source -> count of 100 keys, 100 B", id="state"),
    ],
)
def test_a_feature_is_compared_with_none(
    switch: Switch[Named], only: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    options = ["--pairs", "1", "--window", "0.2", "--only", only, "--folder", str(tmp_path), "--json", str(out)]

    assert switch.main(options) == 0

    (figure,) = json.loads(out.read_text())["figures"]
    assert figure["ratio"] == pytest.approx(figure["on_per_s"] / figure["off_per_s"], abs=0.01)
    assert figure["aims"]["ratio"] == switch.aim.judge(figure["ratio"])
    told = capsys.readouterr().out
    assert f"| {only} | **{figure['ratio']:.2f}** |" in told
    assert f"| ≥ 0.8 | {'yes' if figure['ratio'] >= 0.8 else 'no'} |" in told


def test_a_node_with_keys_is_killed_and_scaled_and_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    options = ["--events", "1", "--keys", "1000", "--after", "1", "--only", "1,000 keys", "--json", str(out)]

    assert recovery.main(options) == 0

    killed, scaled = json.loads(out.read_text())["figures"]
    assert (killed["case"], scaled["case"]) == (
        "a node with 1,000 keys is killed",
        "a partitioned node with 1,000 keys is scaled",
    )
    assert all(0 < figure["silence_s"] <= figure["limit_s"] for figure in (killed, scaled))


def test_a_stream_stands_still_for_a_moment_when_an_instance_is_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"

    assert recovery.main(["--events", "1", "--after", "2", "--only", "one of three", "--json", str(out)]) == 0

    (figure,) = json.loads(out.read_text())["figures"]
    assert figure["events"] == 1
    assert 0 < figure["silence_s"] <= figure["silence_s_max"] <= figure["limit_s"]
    assert "silence, s" in capsys.readouterr().out


def test_instances_stay_within_their_limits_under_overload(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.json"

    assert (
        memory.main(["--window", "2", "--only", "algorithm -> relay -> slow node, 10,000 B", "--json", str(out)]) == 0
    )

    figures = json.loads(out.read_text())["figures"]
    assert [figure["node"] for figure in figures] == ["source", "relay", "sink"]
    assert all(0 < figure["rss_bytes_max"] <= figure["limit_bytes"] for figure in figures)
    assert "RSS at most" in capsys.readouterr().out


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(overload.Case("block", queue_bytes=1 << 20), id="block"),
        pytest.param(overload.Case("drop-oldest", branch=True, queue_bytes=1 << 20), id="a branch that drops"),
    ],
)
def test_a_moment_of_overload_adds_up(case: overload.Case) -> None:
    outcome = overload.play(case, window_s=4.0)

    assert outcome.problems() == []
    assert set(outcome.rss_bytes_max) == set(outcome.limit_bytes)
    assert all(edge.settled for edge in outcome.account.edges)
    assert case.name in overload.memory_table([outcome])
    assert case.name in overload.account_table([outcome])


def test_what_does_not_add_up_is_told() -> None:
    edge = EdgeAccount("source", "slow", 10, 7, 0, {"drop-newest": 2}, 0, 1, 0)
    account = JobAccount("job", "benchmark", JobStatus.STOPPED, 1.0, (edge,), ())
    outcome = overload.Outcome(overload.Case("drop-oldest"), {"slow": 2}, {"slow": 1}, account)

    told = outcome.problems()

    assert len(told) == 3
    assert "slow, drop-oldest: slow took 2 bytes, over its limit of 1" in told
    assert any("not everything was settled or dropped" in problem for problem in told)
    assert any("source >> slow has dropped {'drop-newest': 2}, not by ['drop-oldest']" in problem for problem in told)


def test_memory_over_the_limit_is_told() -> None:
    figure = {"case": "a", "node": "sink", "rss_bytes_max": 120_000_000, "limit_bytes": 108_388_608}

    assert memory.over_limit([figure]) == ["a: sink took 120,000,000 bytes, over its limit of 108,388,608"]
    assert memory.over_limit([{**figure, "rss_bytes_max": 100}]) == []


def test_a_case_that_does_not_exist_is_refused_with_those_that_do(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        memory.main(["--only", "no such case"])

    assert ended.value.code == 2
    assert "connector -> relay -> slow node, 100 B" in capsys.readouterr().err


class Counting:
    """A side without processes; `made` counts how many there were."""

    made = 0

    def __init__(self) -> None:
        type(self).made += 1
        self.shown = 1

    def __enter__(self) -> Counting:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """It holds nothing."""

    def go_on(self, duration_s: float) -> None:
        self.shown += int(1000 * duration_s)

    def processes(self) -> dict[str, psutil.Process]:
        return {}

    def stop(self) -> int:
        """It has nothing under way."""
        return 0


@pytest.mark.parametrize(
    ("elsewhere_cores_max", "made"),
    [pytest.param(1000.0, 1, id="quiet at once"), pytest.param(-1.0, 3, id="never quiet")],
)
def test_a_measurement_in_bad_company_is_taken_again(
    elsewhere_cores_max: float, made: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Counting, "made", 0)

    figures = measure_in_quiet(Counting, 0.0, 1.0, elsewhere_cores_max=elsewhere_cores_max, tries=3)

    assert Counting.made == made
    assert figures.rate > 0
    assert figures.elsewhere_cores >= 0
