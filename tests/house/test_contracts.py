"""The import contracts of pyproject.toml hold, and each of them bites.

A contract that was mistyped keeps quiet for ever, so each is tried on a copy of the packages with one forbidden import.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.source import ROOT


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()", "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_import_contracts_hold() -> None:
    done = _lint(ROOT)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "forbidden", "contract"),
    [
        pytest.param("streamer/plan", "streamer.cli", "The engine is layered", id="upwards"),
        pytest.param("streamer/connectors", "streamer.metrics", "The engine is layered", id="sideways"),
        pytest.param("streamer/protocol", "asyncio", "Pure packages", id="a pure package that waits"),
        pytest.param("streamer/plan", "streamer.clock", "Pure packages", id="a pure package that looks at the clock"),
        pytest.param("streamer/transport", "streamer.plan", "The wire knows nothing", id="a wire that knows pipelines"),
        pytest.param(
            "streamer/runtime", "yaml", "An instance starts without descriptors", id="an instance that reads YAML"
        ),
        pytest.param(
            "streamer/log", "autoscaler", "The engine does not know", id="an engine that knows its autoscaler"
        ),
        pytest.param("autoscaler/decide", "time", "The rule knows samples", id="a rule that looks at the clock"),
        pytest.param(
            "autoscaler/sizing", "autoscaler.policy", "The autoscaler is layered", id="a formula that has guards"
        ),
    ],
)
def test_a_contract_bites(module: str, forbidden: str, contract: str, tmp_path: Path) -> None:
    for package in ("streamer", "autoscaler"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    intruded = tmp_path / module / "__init__.py" if (tmp_path / module).is_dir() else tmp_path / f"{module}.py"
    intruded.write_text(f"{intruded.read_text(encoding='utf-8')}\nimport {forbidden}\n", encoding="utf-8")

    done = _lint(tmp_path)

    broken = [line for line in done.stdout.splitlines() if line.endswith("BROKEN")]
    assert done.returncode != 0
    assert any(line.startswith(contract) for line in broken), done.stdout + done.stderr
