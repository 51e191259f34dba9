"""Every example runs from end to end, as its README says, and its account balances.

They run in a copy of the examples, as the user's command in processes of its own, so nothing here knows the engine.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.examples.example import EXAMPLES


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    ignored = shutil.ignore_patterns("*.jsonl", "access.log*", "__pycache__")
    return Path(shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=ignored))


def streamer(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("streamer")), *arguments],
        cwd=folder,
        env=os.environ | {"STREAMER_HOME": str(folder / "home")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def account_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()
    account: dict[str, Any] = json.loads(line)
    for edge in account["edges"]:
        settled_or_not = edge["settled"] + edge["dead_lettered"] + edge["abandoned"] + edge["in_flight"]
        assert edge["sent"] == settled_or_not + sum(edge["dropped"].values()), edge
    return account


def sent(account: dict[str, Any]) -> dict[tuple[str, str], int]:
    return {(edge["source"], edge["target"]): edge["sent"] for edge in account["edges"]}


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_example_is_valid(examples: Path) -> None:
    folders = sorted(path for path in examples.iterdir() if path.is_dir())

    for folder in folders:
        done = streamer(examples, "validate", folder.name)
        assert done.returncode == 0, f"{folder.name}\n{done.stderr}"

    assert [folder.name[:2] for folder in folders] == [f"{number:02}" for number in range(1, len(folders) + 1)]


def test_the_first_example_prints_ten_squares(examples: Path) -> None:
    done = streamer(examples, "run", "01-first")

    assert done.returncode == 0, done.stderr
    assert sorted(json.loads(line)["square"] for line in done.stdout.splitlines()) == [n * n for n in range(10)]


def test_the_first_example_settles_every_message(examples: Path) -> None:
    done = streamer(examples, "run", "01-first", "--json", "--set", "nodes.square.minStatelessCount=2")

    account = account_of(done)
    assert account["status"] == "completed"
    assert sent(account) == {("numbers", "square"): 10, ("square", "show"): 10}
    assert all(edge["settled"] == 10 for edge in account["edges"])


def test_the_telemetry_of_this_host_flows_and_is_summed_up(examples: Path) -> None:
    folder = examples / "02-telemetry"

    account = account_of(streamer(folder, "run", ".", "--for", "7s", "--json"))

    counts = sent(account)
    assert account["status"] == "stopped"
    assert counts["processes", "score"] > 100
    assert counts["score", "aggregate"] == counts["processes", "score"]
    assert counts["score", "alerts"] < counts["score", "aggregate"]
    assert all(edge["in_flight"] == 0 for edge in account["edges"])
    summaries = lines_of(folder / "summaries.jsonl")
    assert summaries[-1]["processes"] > 5
    assert len(lines_of(folder / "alerts.jsonl")) == counts["score", "alerts"]


def test_outliers_take_the_alert_flow(examples: Path) -> None:
    folder = examples / "02-telemetry"

    account = account_of(streamer(folder, "run", ".", "--for", "6s", "--json", "--input", "outlier=0"))

    counts = sent(account)
    alerts = lines_of(folder / "alerts.jsonl")
    assert len(alerts) == counts["score", "alerts"] == counts["processes", "score"] > 100
    assert {"pid", "name", "score", "because"} <= alerts[0].keys()
