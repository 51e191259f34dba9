"""The commands as a user types them: what they print, and the exit codes that scripts rely on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from streamer import __version__
from streamer.cli.exits import exit_code
from streamer.cli.main import app
from streamer.errors import DescriptorError, PlatformError, PortError, StreamerError

PIPELINE = """\
name: words
kind: stream
nodes:
  - {nodeName: lines, kind: source, spec: {connector: file, path: access.log, format: text}}
  - {nodeName: parse, algorithmName: parse, stateType: stateless, minStatelessCount: 2, maxStatelessCount: 4}
  - {nodeName: merge, algorithmName: parse, stateType: stateful}
  - {nodeName: save, kind: sink, spec: {connector: file, path: out.jsonl}}
streaming:
  defaultFlow: main
  flows: {main: lines >> parse >> merge >> save, again: merge >> parse}
---
name: parse
code: {path: parse.py}
"""


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    (tmp_path / "parse.py").write_text("def start(args, api):\n    return args\n")
    path = tmp_path / "words.yaml"
    path.write_text(PIPELINE)
    return path


def streamer(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_good_descriptor_validates_with_exit_code_0(pipeline: Path) -> None:
    result = streamer("validate", pipeline)

    assert (result.exit_code, result.stdout) == (0, "words: no findings\n")


def test_every_finding_is_printed_with_its_place_and_a_remedy(pipeline: Path) -> None:
    pipeline.write_text(PIPELINE.replace("stateType: stateless", "stateTyp: stateless").replace(">> save", ">> sav"))

    result = streamer("validate", pipeline)

    assert result.exit_code == 2
    assert f'{pipeline}, line 5, nodes[1].stateTyp: "stateTyp" is not a field of a node' in result.stdout
    assert "Did you mean stateType?" in result.stdout
    assert f"{pipeline}, line 10, streaming.flows.main: " in result.stdout


def test_findings_as_json_are_one_line(pipeline: Path) -> None:
    pipeline.write_text(PIPELINE.replace("format: text", "format: txt"))

    result = streamer("validate", pipeline, "--json")

    (line,) = result.stdout.splitlines()
    (finding,) = json.loads(line)["findings"]
    assert result.exit_code == 2
    assert (finding["line"], finding["path"]) == (4, "nodes[0].spec.format")
    assert set(finding) == {"file", "line", "path", "message", "remedy"}


def test_an_empty_file_is_called_empty(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("")

    result = streamer("validate", tmp_path / "empty.yaml")

    assert result.exit_code == 2
    assert "the file is empty" in result.stdout


def test_a_graph_is_a_picture_the_flows_and_mermaid_text(pipeline: Path) -> None:
    result = streamer("graph", pipeline)

    assert result.exit_code == 0
    assert "│    lines     │" in result.stdout
    assert "│ source: file │" in result.stdout
    assert "│ stateless 2-4 │" in result.stdout
    assert "main (default)  lines >> parse >> merge >> save\nagain           merge >> parse\n" in result.stdout
    assert 'flowchart TD\n    n0(["lines<br/>source: file"])\n' in result.stdout


def test_a_graph_marks_the_edge_that_closes_a_cycle(pipeline: Path) -> None:
    result = streamer("graph", pipeline)

    assert "↺ parse" in result.stdout
    assert 'n2 -.->|"again"| n1' in result.stdout
    assert 'n1 -.->|"main"| n2' in result.stdout
    assert 'n0 -->|"main"| n1' in result.stdout


def test_mermaid_alone_is_a_document(pipeline: Path) -> None:
    assert streamer("graph", pipeline, "--mermaid").stdout.startswith("flowchart TD\n")
    assert "flowchart" not in streamer("graph", pipeline, "--picture").stdout


def test_a_batch_pipeline_is_drawn_from_its_references(tmp_path: Path) -> None:
    path = tmp_path / "batch.yaml"
    path.write_text(
        "name: sums\n"
        "nodes:\n"
        "  - {nodeName: range, algorithmName: range-alg, input: ['@flowInput.count']}\n"
        "  - {nodeName: total, algorithmName: total-alg, input: ['#@range']}\n"
        "flowInput: {count: 3}\n"
        "---\n{name: range-alg, algorithmImage: range}\n---\n{name: total-alg, algorithmImage: total}\n"
    )

    result = streamer("graph", path, "--mermaid")

    assert result.exit_code == 0
    assert "n0 --> n1" in result.stdout


def test_a_graph_of_a_bad_descriptor_is_refused_with_its_findings(pipeline: Path) -> None:
    pipeline.write_text("nodes: []\n")

    result = streamer("graph", pipeline)

    assert (result.exit_code, result.stdout) == (2, "")
    assert f"{pipeline}, line 1, name: " in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["rnu", "x"], id="an unknown command"),
        pytest.param(["run"], id="no file"),
        pytest.param(["run", "x", "--metrics-port", "70000"], id="a port out of range"),
        pytest.param(["run", "x", "--jsn"], id="an unknown option"),
    ],
)
def test_a_command_that_cannot_be_read_is_bad_input(arguments: list[str]) -> None:
    assert streamer(*arguments).exit_code == 2


def test_the_version_is_told() -> None:
    assert streamer("--version").stdout == f"streamer {__version__}\n"


def test_help_names_every_command_and_the_exit_codes() -> None:
    text = streamer("--help").stdout

    assert all(word in text for word in ("run", "validate", "graph", "Exit codes"))


@pytest.mark.parametrize(
    ("error", "code"),
    [(DescriptorError("x"), 2), (PortError("x"), 2), (PlatformError("x"), 1), (StreamerError("x"), 1)],
)
def test_an_error_of_the_input_exits_with_2_and_any_other_with_1(error: StreamerError, code: int) -> None:
    assert exit_code(error) == code


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streamer", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_error_is_its_message_and_its_remedy_without_a_traceback(pipeline: Path) -> None:
    done = command("run", pipeline, "--for", "soon")

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "'soon' is no duration",
        "  Write a number above 0 and a unit: 500ms, 30s, 2m or 1h (without a unit, seconds).",
    ]


def test_a_full_disk_behind_stdout_is_told_and_no_defect(pipeline: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "streamer", "validate", str(pipeline)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.returncode == 1
    assert done.stderr.startswith("<stdout> cannot be written: No space left on device\n")


def test_a_defect_of_ours_shows_its_traceback_and_exits_with_70() -> None:
    broken = "import sys; sys.modules['streamer.cli.validate'] = None; from streamer.cli.main import main; main()"

    done = subprocess.run(
        [sys.executable, "-c", broken, "validate", "x"], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 70
    assert "Traceback" in done.stderr
    assert "defect of streamer" in done.stderr


def test_help_is_fast_because_it_loads_nothing_that_only_a_job_needs() -> None:
    heavy = "{'yaml', 'rich', 'prometheus_client', 'zmq', 'msgpack', 'asyncio'}"
    probe = f"import sys, streamer.cli.main; print(sorted({heavy} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout == "[]\n"
