"""A controller is watched and answers deaths, and changes reach real instances: on a real broker, a few of each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.scenario import control_plane
from tests.kafka.broker import bootstrap


def test_a_controller_is_watched_while_it_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.json"
    monkeypatch.setenv("KAFKA_BOOTSTRAP", bootstrap())
    small = {"jobs": 2, "settle": 1, "windows": 2, "window": 0.5, "deaths": 2, "flows": 2, "scales": 1, "json": out}

    assert control_plane.main([word for name, value in small.items() for word in (f"--{name}", str(value))]) == 0

    begun, cores, deaths, flows, peers = json.loads(out.read_text())["figures"]
    assert "20 instances of 2 jobs" in cores["case"]
    assert 0 < begun["highest"] < 60
    assert 0 < cores["median"] < 3
    assert (deaths["count"], flows["count"], peers["count"]) == (2, 2, 1)
    for figure in (deaths, flows, peers):
        assert 0 < figure["median"] <= figure["p99"] <= figure["highest"]
    assert cores["aims"]["median"]["found"] == cores["median"]
    assert f"| {flows['case']} | ms | 2 |" in capsys.readouterr().out
