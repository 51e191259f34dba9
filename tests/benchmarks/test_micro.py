"""The benchmarks of the hot modules work: each case does what it times, and each command writes its record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.micro.__main__ import MODULES, main
from benchmarks.micro.timing import Case, time_cases
from tests.house.source import ROOT

_MODULES_OF_THE_FOLDER = {path.stem for path in (ROOT / "benchmarks" / "micro").glob("[!_]*.py")} - {"timing"}


def test_every_module_of_the_folder_is_measured() -> None:
    assert set(MODULES) == _MODULES_OF_THE_FOLDER


@pytest.mark.parametrize("name", MODULES)
def test_every_case_of_a_module_can_be_timed(name: str) -> None:
    cases = MODULES[name]()

    timings = time_cases(cases, rounds=1, round_s=0.0)

    assert [timing.case for timing in timings] == list(cases)
    assert all(timing.ns > 0 for timing in timings)


def test_a_time_is_told_by_message_and_beside_its_reference() -> None:
    done: list[str] = []
    cases = {
        "one": Case(lambda: done.append("one"), messages=1),
        "many": Case(lambda: done.append("many"), messages=1_000_000, reference="one"),
    }

    one, many = time_cases(cases, rounds=3, round_s=0.0)

    assert one.ratio is None
    assert many.ratio is not None
    assert many.ratio < 0.1
    assert {"one", "many"} == set(done)


def test_a_command_with_a_file_of_its_own_leaves_the_documents_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_bytes()

    assert main(["codec", "--rounds", "1", "--round", "0.0001", "--json", str(tmp_path / "out.json")]) == 0

    written = json.loads((tmp_path / "out.json").read_text())
    assert written["benchmark"] == "micro"
    assert {figure["module"] for figure in written["figures"]} == {"codec"}
    assert {"processor", "cores"} <= set(written["machine"])
    assert {"python", "pyzmq", "msgpack"} <= set(written["versions"])
    assert "pack each and join" in capsys.readouterr().out
    assert (ROOT / "docs" / "benchmarks.md").read_bytes() == page


def test_an_unknown_module_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["edges"])

    assert ended.value.code == 2
    assert "no module 'edges'; the modules are: codec" in capsys.readouterr().err
