"""From files to a pipeline: which document is what, what cannot be read, and where each finding says it stands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streamer import limits
from streamer.descriptor.finding import Finding
from streamer.descriptor.load import Loaded, load
from streamer.descriptor.node import StateType

WORDS = """\
name: words
kind: stream
nodes:
  - {nodeName: lines, kind: source, spec: {connector: file, path: access.log, format: text}}
  - {nodeName: parse, kind: algorithm, algorithmName: parse, stateType: stateless, maxStatelessCount: 4}
  - {nodeName: save, kind: sink, spec: {connector: file, path: out.jsonl, format: jsonl}}
streaming: {flows: {main: lines >> parse >> save}}
"""
PARSE = "name: parse\ncode: {path: parse.py}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "parse.py").write_text("def start(args, api): ...\n")
    return tmp_path


def write(folder: Path, text: str | bytes, name: str = "words.yaml") -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def only(loaded: Loaded) -> Finding:
    assert len(loaded.findings) == 1, [finding.headline for finding in loaded.findings]
    assert loaded.pipeline is None
    assert loaded.findings[0].remedy
    return loaded.findings[0]


def test_the_document_with_nodes_is_the_pipeline_and_the_others_are_algorithms(folder: Path) -> None:
    loaded = load([write(folder, f"{WORDS}---\n{PARSE}")])

    assert loaded.findings == ()
    assert loaded.pipeline is not None
    assert [node.name for node in loaded.pipeline.nodes] == ["lines", "parse", "save"]
    assert str(loaded.pipeline.streaming.flows["main"]) == "lines >> parse >> save"
    assert loaded.pipeline.streaming.default_flow == "main"
    assert list(loaded.algorithms) == ["parse"]


def test_the_order_of_documents_does_not_matter(folder: Path) -> None:
    assert load([write(folder, f"{PARSE}---\n{WORDS}")]).pipeline is not None


def test_documents_may_lie_in_several_files(folder: Path) -> None:
    paths = [write(folder, WORDS), write(folder, PARSE, "parse.yaml")]

    assert load(paths).pipeline == load(paths[::-1]).pipeline is not None


def test_a_folder_is_all_its_descriptor_files(folder: Path) -> None:
    write(folder, WORDS, "pipeline.yml")
    write(folder, '{"name": "parse",\n\t"code": {"path": "parse.py"}}', "parse.json")
    write(folder, "not: [a descriptor", ".hidden.yaml")

    assert load([folder]).pipeline is not None


def test_json_and_yaml_give_the_same_pipeline(folder: Path) -> None:
    yaml_path = write(folder, f"{WORDS}---\n{PARSE}")
    pipeline = {
        "name": "words",
        "kind": "stream",
        "nodes": [
            {"nodeName": "lines", "kind": "source", "spec": {"connector": "file", "path": "access.log"}},
            {"nodeName": "parse", "algorithmName": "parse", "stateType": "stateless", "maxStatelessCount": "4"},
            {"nodeName": "save", "kind": "sink", "spec": {"connector": "file", "path": "out.jsonl"}},
        ],
        "streaming": {"flows": {"main": "lines >> parse >> save"}},
    }
    json_path = write(folder, json.dumps(pipeline, indent="\t"), "words.json")

    assert load([json_path, write(folder, PARSE, "parse.yaml")]).pipeline == load([yaml_path]).pipeline


def test_code_is_relative_to_the_document_that_names_it(folder: Path) -> None:
    write(folder, "", "algorithms/parse.py")
    algorithm = write(folder, PARSE, "algorithms/parse.yaml")

    loaded = load([write(folder, WORDS), algorithm])

    assert loaded.algorithms["parse"].folder == str(folder / "algorithms")


def test_a_finding_is_printed_with_file_line_path_and_remedy(folder: Path) -> None:
    path = write(folder, f"{WORDS.replace('maxStatelessCount: 4', 'maxStatelessCount: many')}---\n{PARSE}")

    assert str(only(load([path]))) == (
        f'{path}, line 5, nodes[1].maxStatelessCount: "many" is not a whole number of at least 0\n'
        "    Write a whole number of at least 0."
    )


def test_all_findings_of_all_files_come_at_once(folder: Path) -> None:
    words = WORDS.replace("stateType: stateless", "stateTyp: stateless").replace(">> save", ">> svae")
    paths = [write(folder, words), write(folder, "name: parse\ncode: {path: gone.py}\n", "parse.yaml")]

    found = {(Path(finding.file).name, finding.line, finding.path) for finding in load(paths).findings}

    assert found == {
        ("words.yaml", 5, "nodes[1].stateTyp"),
        ("words.yaml", 7, "streaming.flows.main"),
        ("parse.yaml", 2, "code.path"),
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", ""),
        ("a.yaml", "  \n\n"),
        ("a.yaml", "# only a comment\n"),
        ("a.yaml", "---\n---\n"),
        ("a.json", ""),
        ("a.json", "\t\n"),
    ],
)
def test_an_empty_file_is_called_empty(folder: Path, name: str, text: str) -> None:
    finding = only(load([write(folder, text, name)]))

    assert (finding.line, finding.path, finding.message) == (1, "document", "the file is empty")


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        pytest.param("a: 1\nb: [1, 2\nc: 3\n", 3, "not YAML", id="not YAML"),
        pytest.param("just some words\n", 1, 'found "just some words"', id="no mapping"),
        pytest.param("- 1\n- 2\n", 1, "found [1, 2]", id="list"),
        pytest.param(b"name: a\nnodes: \xff\xfe\n", 2, "the byte 0xff is not UTF-8", id="not UTF-8"),
        pytest.param("a: 1\nb: \x00\n", 2, "not YAML", id="binary"),
        pytest.param("name: parse\n", 1, "no document has nodes", id="no pipeline"),
    ],
)
def test_text_that_is_no_descriptor_gives_one_finding_with_its_line(
    folder: Path, text: str | bytes, line: int, message: str
) -> None:
    finding = only(load([write(folder, text)]))

    assert finding.line == line
    assert message in finding.message


def test_a_file_that_ends_in_json_is_judged_as_json(folder: Path) -> None:
    finding = only(load([write(folder, '{"name": "a",\n "nodes": [],}', "a.json")]))

    assert finding.line == 2
    assert finding.message.startswith("not JSON")


def test_a_file_that_does_not_exist_is_a_finding(folder: Path) -> None:
    finding = only(load([folder / "gone.yaml"]))

    assert finding.headline == f"{folder / 'gone.yaml'}, document: cannot be read: No such file or directory"


def test_a_folder_without_descriptors_is_a_finding(tmp_path: Path) -> None:
    assert "holds no file ending in .yaml, .yml, .json" in only(load([tmp_path])).message


def test_a_file_over_the_limit_is_refused(folder: Path) -> None:
    path = write(folder, b"#" * (limits.DESCRIPTOR_BYTES_MAX + 1))

    assert "larger than" in only(load([path])).message


def test_an_algorithm_that_cannot_be_read_is_not_called_missing_as_well(folder: Path) -> None:
    algorithm = write(folder, "name: parse\ncode: {path: parse.py\n", "parse.yaml")

    assert only(load([write(folder, WORDS), algorithm])).file == str(algorithm)


def test_a_mark_at_the_beginning_of_the_file_is_not_text(folder: Path) -> None:
    assert load([write(folder, f"\ufeff{WORDS}---\n{PARSE}")]).findings == ()


def test_one_descriptor_has_one_pipeline(folder: Path) -> None:
    finding = only(load([write(folder, f"{WORDS}---\n{PARSE}"), write(folder, WORDS, "again.yaml")]))

    assert finding.file.endswith("again.yaml")
    assert "a second pipeline; the first stands in" in finding.message


def test_an_algorithm_stands_once(folder: Path) -> None:
    finding = only(load([write(folder, f"{WORDS}---\n{PARSE}---\n{PARSE}")]))

    assert (finding.line, finding.message) == (12, 'the algorithm "parse" stands twice')


def test_a_pipeline_that_forgot_its_nodes_hears_so(folder: Path) -> None:
    findings = load([write(folder, "name: a\nkind: stream\nstreaming: {flows: {main: a >> b}}\n")]).findings

    assert ("nodes", "is missing") in [(finding.path, finding.message) for finding in findings]


@pytest.mark.parametrize(
    ("code", "file"),
    [
        ("{path: gone.py}", "gone.py"),
        ("{path: folder}", "folder/main.py"),
        ("{path: folder, entryPoint: x.py}", "x.py"),
    ],
)
def test_code_that_is_missing_is_found_where_it_is_named(folder: Path, code: str, file: str) -> None:
    (folder / "folder").mkdir()
    finding = only(load([write(folder, f"{WORDS}---\nname: parse\ncode: {code}\n")]))

    assert (finding.line, finding.path) == (10, "code.path")
    assert f"{file}, which is not a file" in finding.message


def test_a_setting_is_in_force_as_if_it_were_written(folder: Path) -> None:
    path = write(folder, f"{WORDS}---\n{PARSE}")

    loaded = load([path], settings=["nodes.parse.minStatelessCount=3", "options.ttl=7", "priority=5"])

    assert loaded.pipeline is not None
    assert loaded.pipeline.node("parse").min_stateless_count == 3
    assert (loaded.pipeline.options.ttl_s, loaded.pipeline.priority) == (7, 5)


def test_a_wrong_setting_is_found_under_its_own_name(folder: Path) -> None:
    path = write(folder, f"{WORDS}---\n{PARSE}")

    findings = load([path], settings=["nodes.parse.minStatelessCount=9", "nodes.prase.ttl=1", "priority=9"]).findings

    assert [finding.headline for finding in findings] == [
        '--set nodes.prase.ttl=1, nodes: "prase" is not in nodes',
        "--set priority=9, priority: 9 is not a whole number from 1 to 5",
        "--set nodes.parse.minStatelessCount=9, nodes[1].minStatelessCount: "
        "minStatelessCount 9 is greater than maxStatelessCount 4",
    ]


def test_flow_input_comes_from_the_caller_a_file_json_or_single_keys(folder: Path) -> None:
    path = write(folder, f"{WORDS}flowInput: {{a: 1, b: 2}}\n---\n{PARSE}")
    values = write(folder, "a: from file\n", "values.yaml")

    def flow_input(loaded: Loaded) -> object:
        assert loaded.pipeline is not None
        return loaded.pipeline.flow_input

    assert flow_input(load([path])) == {"a": 1, "b": 2}
    assert flow_input(load([path], flow_input={"x": (1, 2)})) == {"x": [1, 2]}
    assert flow_input(load([path], inputs=[str(values)])) == {"a": "from file"}
    assert flow_input(load([path], inputs=['{"a": [1]}'])) == {"a": [1]}
    assert flow_input(load([path], inputs=["b=x", "c.d=3"])) == {"a": 1, "b": "x", "c": {"d": 3}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing", "neither a file, nor JSON, nor key=value"),
        ("{broken", "not JSON"),
        ("[1]", "is not a mapping"),
        ("a.b=1", "flowInput.a is 1 and has no fields"),
    ],
)
def test_a_wrong_input_is_a_finding(folder: Path, text: str, message: str) -> None:
    finding = only(load([write(folder, f"{WORDS}flowInput: {{a: 1}}\n---\n{PARSE}")], inputs=[text]))

    assert finding.file == f"--input {text}"
    assert message in finding.message


def test_the_state_of_a_node_may_come_from_its_algorithm(folder: Path) -> None:
    loaded = load([write(folder, f"{WORDS.replace('stateType: stateless, ', '')}---\n{PARSE}stateType: stateful\n")])

    assert loaded.algorithms["parse"].state_type is StateType.STATEFUL
    assert "nodes which are not stateType=stateless cannot have maxStatelessCount" in only(loaded).message
