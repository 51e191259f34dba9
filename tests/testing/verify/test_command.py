"""The verifier as a command: sixty faults on jobs of every shape, and not one message lost."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from streamer.testing.verify.schedule import Kind
from tests.conftest import Tell

FAULTS = 60
LIMIT_S = 900.0
"""It takes three minutes; a machine that is busy with other tests has several times as long."""
FIELDS = [
    "seed",
    "shape",
    "messages",
    "faults",
    "lost",
    "duplicates",
    "duplicates_unexplained",
    "order_violations",
    "unbalanced_edges",
    "wrong_counts",
]


def verify(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streamer.testing.verify", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def test_sixty_faults_of_all_kinds_cost_no_message(tell: Tell) -> None:
    done = verify("--faults", str(FAULTS), "--seed", "1")

    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    (line,) = done.stdout.splitlines()
    verdict = json.loads(line)
    tell(line)
    assert list(verdict) == FIELDS
    assert (verdict["seed"], verdict["shape"]) == (1, "all")
    assert sum(verdict["faults"].values()) >= FAULTS
    assert set(verdict["faults"]) == set(Kind)
    assert verdict["messages"] > 0
    harm = ("lost", "duplicates_unexplained", "order_violations", "unbalanced_edges", "wrong_counts")
    assert {name: verdict[name] for name in harm} == dict.fromkeys(harm, 0)
    assert "seed 1" in done.stderr.splitlines()[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(("--shape", "square"), ("square", "chain", "all"), id="a shape that there is not"),
        pytest.param(("--faults", "0"), ("0 is no number of faults",), id="no faults"),
        pytest.param(("--faults", "many"), ("many",), id="no number"),
        pytest.param(("--seconds", "-1"), ("-1 is no time",), id="no time"),
    ],
)
def test_bad_options_are_one_message(arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    done = verify(*arguments)

    assert done.returncode == 2
    assert not done.stdout
    assert "Traceback" not in done.stderr
    assert all(word in done.stderr for word in words)
