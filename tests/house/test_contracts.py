"""The import contracts of pyproject.toml hold, and each of them bites.

A contract that was mistyped keeps quiet for ever, so each is tried on a copy of the package with one forbidden import.
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
        pytest.param("plan", "streamer.cli", "The engine is layered", id="upwards"),
        pytest.param("connectors", "streamer.metrics", "The engine is layered", id="sideways"),
        pytest.param("protocol", "asyncio", "Pure packages", id="a pure package that waits"),
        pytest.param("plan", "streamer.clock", "Pure packages", id="a pure package that looks at the clock"),
        pytest.param("transport", "streamer.plan", "The wire knows nothing", id="a wire that knows pipelines"),
        pytest.param("runtime", "yaml", "An instance starts without descriptors", id="an instance that reads YAML"),
    ],
)
def test_a_contract_bites(module: str, forbidden: str, contract: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "streamer", tmp_path / "streamer", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "streamer" / module / "intruder.py").write_text(f"import {forbidden}\n", encoding="utf-8")

    done = _lint(tmp_path)

    broken = [line for line in done.stdout.splitlines() if line.endswith("BROKEN")]
    assert done.returncode != 0
    assert any(line.startswith(contract) for line in broken), done.stdout + done.stderr
