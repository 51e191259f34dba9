"""What the pages show, works: pipelines are valid, Python compiles, commands run and exit 0.

Each page gets a folder of its own with the files it shows and a copy of the examples, so commands run as a reader who
stands in the project's root would run them, and leave nothing behind there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from streamer.descriptor.load import load
from tests.docs.pages import Snippet, pages, snippets
from tests.house.source import ROOT

TARGETS = frozenset(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def _shown(*languages: str) -> list[object]:
    return [pytest.param(shown, id=shown.place) for page in pages() for shown in snippets(page, *languages)]


def _pages_with(*languages: str) -> list[object]:
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages() if snippets(page, *languages)]


def _lay_out(page: Path, folder: Path) -> None:
    for shown in snippets(page, "yaml", "json", "python", "text"):
        if shown.file is not None:
            (folder / shown.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / shown.file).write_text(shown.text, encoding="utf-8")
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("*.jsonl", "__pycache__"))


def _commands(page: Path) -> list[tuple[str, str]]:
    lines = [(shown.place, line) for shown in snippets(page, "sh") for line in shown.text.splitlines()]
    return [(place, line) for place, line in lines if line.strip() and not line.startswith("#")]


@pytest.mark.parametrize("shown", _shown("python"))
def test_python_on_a_page_compiles(shown: Snippet) -> None:
    compile(shown.text, shown.place, "exec")


@pytest.mark.parametrize("page", _pages_with("yaml", "json"))
def test_pipelines_on_a_page_are_valid(page: Path, tmp_path: Path) -> None:
    _lay_out(page, tmp_path)

    for shown in snippets(page, "yaml", "json"):
        if re.search(r"^nodes:|\"nodes\":", shown.text, re.MULTILINE):
            file = tmp_path / (shown.file or "shown.yaml")
            file.write_text(shown.text, encoding="utf-8")

            assert [str(finding) for finding in load([file]).findings] == [], shown.place


@pytest.mark.parametrize("page", _pages_with("sh"))
def test_commands_on_a_page_run(page: Path, tmp_path: Path) -> None:
    _lay_out(page, tmp_path)
    bin_folder = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{bin_folder}:{os.environ['PATH']}", "STREAMER_HOME": str(tmp_path / "home")}

    for place, line in _commands(page):
        if found := re.fullmatch(r"make (\w+)", line):
            assert found[1] in TARGETS, f"{place}: the Makefile has no target {found[1]}"
            continue
        command = line.replace(".venv/bin/", "")
        assert command.startswith(("streamer ", "python ")), f"{place}: show it as text, or make it a command of ours"
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{place}: {line}\n{done.stdout}\n{done.stderr}"
