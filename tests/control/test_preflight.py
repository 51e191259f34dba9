"""What is known to fail before a job starts is told at once, with its node, and changes nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from streamer.control.preflight import preflight
from streamer.plan.assignment import Code, Connector
from streamer.plan.compile import Plan
from tests.control.plans import LINE


def connected(plan: Plan, **connectors: Connector) -> Plan:
    nodes = {name: dataclasses.replace(node, connector=connectors.get(name)) for name, node in plan.nodes.items()}
    return dataclasses.replace(plan, nodes=nodes)


def coded(plan: Plan, **paths: Path) -> Plan:
    nodes = {
        name: dataclasses.replace(node, code=Code(f"{name}-code", str(paths[name])) if name in paths else None)
        for name, node in plan.nodes.items()
    }
    return dataclasses.replace(plan, nodes=nodes)


def file(path: Path) -> Connector:
    return Connector("file", {"path": str(path), "format": "text"})


def test_a_plan_without_problems_has_no_findings() -> None:
    assert preflight(LINE).findings == ()


def test_a_source_file_that_does_not_exist_is_found_with_its_node(tmp_path: Path) -> None:
    (finding,) = preflight(connected(LINE, lines=file(tmp_path / "absent.txt"))).findings
    assert finding.startswith("node lines: ")
    assert "absent.txt" in finding


def test_a_sink_that_would_destroy_its_own_source_is_found(tmp_path: Path) -> None:
    path = tmp_path / "both.txt"
    path.write_text("precious\n")
    (finding,) = preflight(connected(LINE, lines=file(path), save=file(path))).findings
    assert "lines" in finding
    assert "save" in finding
    assert path.read_text() == "precious\n"


def test_two_sources_that_read_stdin_are_found() -> None:
    stdin = Connector("stdin", {"format": "text"})
    findings = preflight(connected(LINE, lines=stdin, parse=dataclasses.replace(stdin))).findings
    assert any("each reads stdin" in finding for finding in findings)


def test_an_algorithm_file_that_is_missing_is_found_with_its_node(tmp_path: Path) -> None:
    (finding,) = preflight(coded(LINE, parse=tmp_path / "absent.py")).findings
    assert finding.startswith("node parse: algorithm parse-code: the file ")
    assert "does not exist" in finding


def test_an_algorithm_that_imports_is_no_finding(tmp_path: Path) -> None:
    path = tmp_path / "fine.py"
    path.write_text("def start(args):\n    return args\n")
    assert preflight(coded(LINE, parse=path)).findings == ()


def test_an_algorithm_that_does_not_import_is_told_with_its_traceback_and_then_its_node(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("import json\n\nraise ValueError('no such table')\n")
    (finding,) = preflight(coded(LINE, parse=path)).findings
    *traceback, last = finding.splitlines()
    assert traceback[0] == "Traceback (most recent call last):"
    assert any(f'File "{path}", line 3' in line for line in traceback)
    assert "ValueError: no such table" in traceback
    assert last.startswith("node parse: algorithm parse-code: ")
    assert "streamer" not in "".join(traceback)


def test_everything_is_found_at_once(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("def start(args:\n")
    plan = coded(LINE, parse=tmp_path / "absent.py", save=broken)
    nodes = {**plan.nodes, "lines": dataclasses.replace(plan.nodes["lines"], connector=file(tmp_path / "absent.txt"))}
    findings = preflight(dataclasses.replace(plan, nodes=nodes)).findings
    assert len(findings) == 3
    assert [name for finding in findings for name in LINE.nodes if f"node {name}: " in finding] == [
        "lines",
        "parse",
        "save",
    ]


def test_an_algorithm_of_several_nodes_is_told_once_with_all_of_them(tmp_path: Path) -> None:
    shared = Code("shared", str(tmp_path / "absent.py"))
    nodes = {name: dataclasses.replace(node, code=shared) for name, node in LINE.nodes.items()}
    (finding,) = preflight(dataclasses.replace(LINE, nodes=nodes)).findings
    assert finding.startswith("nodes lines, parse, save: algorithm shared: ")


@pytest.mark.parametrize("program", ["import os\nos._exit(7)\n", "raise SystemExit(0)\n"])
def test_an_algorithm_that_ends_its_process_while_it_is_imported_is_found(tmp_path: Path, program: str) -> None:
    path = tmp_path / "leaves.py"
    path.write_text(program)
    (finding,) = preflight(coded(LINE, parse=path)).findings
    assert "node parse: algorithm parse-code: " in finding
