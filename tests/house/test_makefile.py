"""The Makefile says what is missing on a machine that cannot run the engine, and has the targets it promises.

Setting up for real is what every run of the tests by `make test` has just done.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.house.source import ROOT


def _make(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    # Without what an outer make hands down: its flags and job slots are not meant for this one.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", *arguments],
        cwd=ROOT,
        env=environment | ({"PATH": path} if path else {}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_machine_without_a_new_enough_python_is_told_what_to_install(tmp_path: Path) -> None:
    old = tmp_path / "bin" / "python3"
    old.parent.mkdir()
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.18" && exit 0\nexit 1\n', encoding="utf-8")
    old.chmod(0o755)
    for newer in ("python3.11", "python3.12", "python3.13", "python3.14"):
        (old.parent / newer).symlink_to(old)

    done = _make("setup", f"VENV={tmp_path / 'venv'}", path=f"{old.parent}:{os.environ['PATH']}")

    assert done.returncode != 0
    assert "needs Python 3.11 or later; Python 3.9.18 was found" in done.stderr
    assert "apt-get install python3.11" in done.stderr
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize("target", ["demo", "test", "lint", "bench", "soak", "soak-simulated", "soak-overload"])
def test_a_target_sets_itself_up(target: str, tmp_path: Path) -> None:
    """`make -n` prints what would be done."""
    done = _make("-n", target, f"VENV={tmp_path / 'venv'}")

    assert done.returncode == 0, done.stderr
    assert "pip install" in done.stdout
    assert done.stdout.index("pip install") < done.stdout.index(str(tmp_path / "venv" / "bin"), -200)


def test_the_script_of_the_continuous_checks_calls_the_targets() -> None:
    script = ROOT / ".ci" / "run"

    assert os.access(script, os.X_OK)
    assert {"step make lint", "step make test"} <= set(script.read_text(encoding="utf-8").splitlines())
