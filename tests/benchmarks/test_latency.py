"""Latencies are kept in buckets that are fine enough, and both sides of the benchmark have some to tell."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.scenario import latency
from benchmarks.scenario.latencies import Latencies, percentile_us
from benchmarks.scenario.latency import Case
from benchmarks.scenario.pace import Pace
from benchmarks.scenario.pairs import Effort
from tests.benchmarks.test_peers import needs_peers

_A_MOMENT = Effort(pairs=1, window_s=0.3, warm_up_s=0.1, tries=1)


@pytest.mark.parametrize("latency_ns", [1, 31, 63, 64, 1_000, 65_535, 1_234_567, 999_999_999_999])
def test_a_latency_is_told_within_a_few_percent(latency_ns: int, tmp_path: Path) -> None:
    latencies = Latencies(tmp_path / "page")

    latencies.note(latency_ns)

    assert percentile_us(latencies.counts, 50) == pytest.approx(latency_ns / 1000, rel=0.02, abs=0.001)


def test_a_latency_beyond_the_last_bucket_counts_in_it(tmp_path: Path) -> None:
    latencies = Latencies(tmp_path / "page")

    latencies.note(1 << 60)

    assert latencies.counts[-1] == 1


def test_a_percentile_is_what_so_many_messages_did_not_exceed(tmp_path: Path) -> None:
    latencies = Latencies(tmp_path / "page")
    for latency_us in range(1, 1001):
        latencies.note(1000 * latency_us)

    found = [percentile_us(latencies.counts, percent) for percent in (50, 99, 100)]

    assert found == [pytest.approx(expected, rel=0.04) for expected in (500, 990, 1000)]


def test_another_process_reads_how_many_messages_came(tmp_path: Path) -> None:
    latencies, reader = Latencies(tmp_path / "page"), Latencies(tmp_path / "page")

    latencies.note(1000)

    assert reader.shown == 1
    assert sum(reader.counts) == 1


def test_no_message_has_no_percentile(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no message has arrived"):
        percentile_us(Latencies(tmp_path / "page").counts, 50)


@pytest.mark.parametrize("make", [latency.engine, latency.straight], ids=lambda make: make.__name__)
def test_a_message_at_a_time_goes_over_both_hops(make: latency.Make) -> None:
    found = latency.measure(make, Case(0), _A_MOMENT)

    assert 0 < found.p50_us <= found.p99_us <= found.p999_us
    assert found.rate > 0


def test_a_message_that_is_late_keeps_the_time_when_it_was_due() -> None:
    pace = Pace(1_000)

    first = pace.due()
    second = pace.due()

    assert first.start == 0
    assert second.start == first.stop < second.stop
    assert pace.at_ns(1_000) - pace.at_ns(0) == 1_000_000_000
    assert pace.at_ns(second.stop - 1) <= time.monotonic_ns() < pace.at_ns(second.stop) + 60_000_000_000


def test_a_rate_is_offered_and_what_arrives_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.json"
    options = ["--rounds", "1", "--window", "0.3", "--only", "10,000 a second", "--json", str(out)]

    assert latency.main(options) == 0

    (figure,) = json.loads(out.read_text())["figures"]
    assert figure["per_s"] == pytest.approx(10_000, rel=0.9)
    assert figure["straight"]["per_s"] == pytest.approx(10_000, rel=0.9)
    assert figure["p50_ratio"] == pytest.approx(figure["p50_us"] / figure["straight"]["p50_us"], rel=0.01, abs=0.01)
    assert "| 10,000 a second |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arrived_per_s", "growth"),
    [
        pytest.param(1000, 0.0, id="as many arrive as are offered"),
        pytest.param(900, 0.1, id="a tenth waits"),
        pytest.param(1100, -0.1, id="what had gathered is worked off"),
    ],
)
def test_the_backlog_grows_by_what_does_not_arrive(arrived_per_s: int, growth: float) -> None:
    looks = [(5 + n / 10, 77 + n * arrived_per_s // 10) for n in range(11)]

    assert latency.backlog_growth(looks, 1000) == pytest.approx(growth)


@pytest.mark.parametrize(
    ("arrived_per_s", "late", "overloaded"),
    [
        pytest.param(100_000, 2048, False, id="a frame that comes just after the last look"),
        pytest.param(97_000, 0, True, id="a backlog that grows by a thirtieth"),
    ],
)
def test_a_backlog_that_grows_is_told_from_a_late_frame(arrived_per_s: int, late: int, overloaded: bool) -> None:
    looks = [(n / 20, n * arrived_per_s // 20) for n in range(17)]
    looks[-1] = looks[-1][0], looks[-1][1] - late

    found = latency.Distribution(1.0, 1.0, 1.0, 1.0, 0.0, latency.backlog_growth(looks, 100_000))

    assert found.overloaded is overloaded


def _figure(**found: Any) -> dict[str, Any]:
    side = {"per_s": 9, "p50_us": 2000.0, "p99_us": 4000.0, "p999_us": 5000.0, "growth_percent": 1.0}
    beside = {"straight": side, "p50_ratio": 1.0, "hkube": None, "hkube_p50_ratio": None}
    told = {"case": "100,000 a second", "spread": 2.0, "measurements": 5, "overloaded": 0, "aims": {}}
    return {**side, **beside, **told, "elsewhere_cores_max": 0.1, **found}


def test_a_growing_backlog_is_told_as_overload() -> None:
    told = latency.table([_figure(overloaded=3), _figure(), _figure(case="one at a time")]).splitlines()

    assert "| 100,000 a second | 9 | **overloaded in 3 of 5** | **2,000** |" in told[2]
    assert "| 100,000 a second | 9 | flat | **2,000** |" in told[3]
    assert "| one at a time | 9 |  | **2,000** |" in told[4]


def test_each_aim_of_a_latency_has_a_line_of_its_own() -> None:
    aim = {"of": "median, us", "bound": 1000, "at_most": True, "found": 2000.0, "reached": False}

    told = latency.table([_figure(aims={"p50_us": aim})])

    assert "| median, us | ≤ 1,000 | no | **2,000** |" in told


@needs_peers
def test_hkube_sends_one_at_a_time_beside_us(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.json"
    options = ["--rounds", "1", "--window", "0.5", "--only", "one at a time", "--json", str(out)]

    assert latency.main(options) == 0

    written = json.loads(out.read_text())
    (figure,) = written["figures"]
    assert figure["hkube_p50_ratio"] == pytest.approx(figure["hkube"]["p50_us"] / figure["p50_us"], rel=0.01, abs=0.1)
    assert written["versions"]["hkube-python-wrapper"] == "2.4.2"
    assert f"**{figure['hkube_p50_ratio']:.1f}**" in capsys.readouterr().out
