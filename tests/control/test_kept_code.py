"""A job keeps the code that it is given: each file once, by its content, all generations side by side."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.control.kept_code import keep_code
from streamer.control.preflight import code_preflight
from streamer.errors import HomeError
from streamer.plan.assignment import Code
from streamer.plan.compile import Plan
from tests.control.plans import LINE
from tests.control.test_preflight import coded


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Two nodes with one algorithm, which consists of three files and reads one that is no code."""
    user = tmp_path / "user"
    (user / "parts").mkdir(parents=True)
    (user / "parts" / "__init__.py").write_text("")
    (user / "parts" / "names.py").write_text("import json\nNAME = 'words'\n")
    (user / "unused.py").write_text("")
    (user / "work.py").write_text("from parts import names\n\ndef start(args):\n    return names.NAME\n")
    return coded(LINE, parse=user / "work.py", save=user / "work.py")


def code(plan: Plan, node: str = "parse") -> Code:
    found = plan.nodes[node].code
    assert found is not None
    return found


def test_the_check_before_a_start_tells_of_which_files_an_algorithm_consists(plan: Plan, tmp_path: Path) -> None:
    checked = code_preflight(plan)

    assert checked.findings == ()
    names = [Path(file.path).relative_to(tmp_path / "user") for file in code(checked.plan).files]
    assert sorted(map(str, names)) == ["parts/__init__.py", "parts/names.py", "work.py"]


def test_each_is_kept_once_and_what_is_edited_is_kept_beside_what_it_was(plan: Plan, tmp_path: Path) -> None:
    listed, folder = code_preflight(plan).plan, tmp_path / "kept"
    first = keep_code(listed, folder)
    assert len(list(folder.iterdir())) == 3
    assert keep_code(listed, folder) == first
    assert code(first, "save").files == code(first).files

    (tmp_path / "user" / "work.py").write_text("def start(args):\n    return 1\n")
    second = keep_code(listed, folder)
    assert code(second) != code(first)
    assert len(list(folder.iterdir())) == 4


def test_what_is_gone_stays_as_it_was_kept(plan: Plan, tmp_path: Path) -> None:
    first = keep_code(code_preflight(plan).plan, tmp_path / "kept")
    (tmp_path / "user" / "work.py").unlink()

    assert keep_code(first, tmp_path / "kept") == first


def test_code_that_cannot_be_kept_is_told_with_its_folder(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("no folder")

    with pytest.raises(HomeError, match="kept"):
        keep_code(code_preflight(plan).plan, tmp_path / "kept")


def test_a_plan_without_files_has_nothing_to_keep(tmp_path: Path) -> None:
    assert keep_code(LINE, tmp_path / "kept") == LINE
    assert not (tmp_path / "kept").exists()
