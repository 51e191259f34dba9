"""Algorithms: which fields are kept, both spellings of code and resources, and where the code lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.descriptor.algorithm import (
    Algorithm,
    AlgorithmCode,
    AlgorithmOptions,
    GitRepository,
    Placement,
    Resources,
    code_file,
    read_algorithm,
)
from streamer.descriptor.document import Document, Value
from streamer.descriptor.fields import Report
from streamer.descriptor.finding import Finding
from streamer.descriptor.node import StateType


def read(value: dict[str, Value]) -> tuple[Algorithm, list[Finding]]:
    document = Document(value, {}, folder="algorithms")
    report = Report(document)
    return read_algorithm(document, report), report.findings


def test_a_name_and_code_are_enough() -> None:
    assert read({"name": "parse", "code": {"path": "parse.py"}}) == (
        Algorithm("parse", "algorithms", AlgorithmCode("parse.py"), type="Code"),
        [],
    )


def test_every_field_is_kept() -> None:
    algorithm, findings = read(
        {
            "name": "parse",
            "type": "Git",
            "kind": "stream",
            "stateType": "stateful",
            "env": "python",
            "algorithmImage": "host/image:1",
            "baseImage": "python:3.11",
            "entryPoint": "app/main.py",
            "code": {"path": "src"},
            "dependencyInstallCmd": "./install.sh",
            "downloadFileExt": "zip",
            "description": "d",
            "version": "v",
            "minHotWorkers": 1,
            "maxWorkers": 2,
            "quotaGuarantee": 3,
            "cpu": 2,
            "gpu": 0.5,
            "mem": "1Gi",
            "reservedMemory": "100Mi",
            "applyCpuLimits": False,
            "workerCustomResources": {"limits": {}},
            "options": {"devMode": True, "devFolder": "f", "pending": True, "opengl": True},
            "nodeSelector": {"disk": ["ssd"]},
            "labels": {"a": "b"},
            "annotations": {"c": "d"},
            "mounts": [{"pvcName": "p", "path": "x"}],
            "volumes": [{"name": "v", "emptyDir": {}}],
            "volumeMounts": [{"name": "v", "mountPath": "x"}],
            "sideCars": [{"container": {"name": "n", "anything": 1}}],
            "securityContext": {"fsGroup": 1},
            "kaiObject": {"queue": "q"},
            "algorithmEnv": {"A": "1", "B": {"secretKeyRef": {}}, "C": 3},
            "workerEnv": {"W": "1"},
            "gitRepository": {"url": "https://host/x.git", "tag": "1", "token": "t", "gitKind": "gitlab"},
        }
    )

    assert findings == []
    assert algorithm == Algorithm(
        name="parse",
        folder="algorithms",
        code=AlgorithmCode("src", "app/main.py"),
        type="Git",
        kind="stream",
        state_type=StateType.STATEFUL,
        env="python",
        algorithm_image="host/image:1",
        base_image="python:3.11",
        dependency_install_cmd="./install.sh",
        download_file_ext="zip",
        description="d",
        version="v",
        min_hot_workers=1,
        max_workers=2,
        quota_guarantee=3,
        resources=Resources(2, 0.5, "1Gi", "100Mi", apply_cpu_limits=False, worker_custom_resources={"limits": {}}),
        options=AlgorithmOptions(dev_mode=True, dev_folder="f", pending=True, opengl=True),
        placement=Placement(
            node_selector={"disk": ["ssd"]},
            labels={"a": "b"},
            annotations={"c": "d"},
            mounts=({"pvcName": "p", "path": "x"},),
            volumes=({"name": "v", "emptyDir": {}},),
            volume_mounts=({"name": "v", "mountPath": "x"},),
            side_cars=({"container": {"name": "n", "anything": 1}},),
            security_context={"fsGroup": 1},
            kai_object={"queue": "q"},
        ),
        algorithm_env={"A": "1", "B": {"secretKeyRef": {}}, "C": "3"},
        worker_env={"W": "1"},
        git_repository=GitRepository("https://host/x.git", tag="1", token="t", git_kind="gitlab"),
    )


def test_the_nested_form_of_resources_is_read_too() -> None:
    algorithm, findings = read({"name": "parse", "resources": {"cpu": 2, "gpu": 1, "mem": "1Gi"}})

    assert findings == []
    assert algorithm.resources == Resources(2, 1, "1Gi")


def test_what_a_stored_algorithm_carries_is_ignored() -> None:
    assert read({"name": "parse", "created": 1, "errors": [901], "fileInfo": {}})[1] == []


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", "x", '"x" is not a name of an algorithm'),
        ("name", "a..b", '"a..b" is not a name of an algorithm'),
        ("name", "../up", '"../up" is not a name of an algorithm'),
        ("type", "Zip", '"Zip" is none of'),
        ("env", "cobol", '"cobol" is none of'),
        ("algorithmImage", "a b", "is not an image without spaces"),
        ("mem", "1Mi", '"1Mi" is out of bounds'),
        ("cpu", "much", '"much" is not a number of at least 0'),
        ("code", {}, "is missing"),
        ("code", {"path": "x", "entrypoint": "y"}, '"entrypoint" is not a field of code'),
        ("code", {"path": "x", "entryPoint": "../y.py"}, "is not a file below code.path"),
        ("entryPoint", "/y.py", "is not a file below code.path"),
        ("options", {"devmode": True}, '"devmode" is not a field of options'),
        ("gitRepository", {}, "is missing"),
        ("maxWorker", 3, '"maxWorker" is not a field of an algorithm'),
    ],
)
def test_one_mistake_makes_one_finding(field: str, value: Value, message: str) -> None:
    _, findings = read({"name": "parse", field: value})

    assert [message in finding.message for finding in findings] == [True], findings


def test_code_is_a_file_or_a_folder_with_an_entry_point(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()

    def file(code: AlgorithmCode | None) -> Path | None:
        return code_file(Algorithm("parse", str(tmp_path), code))

    assert file(None) is None
    assert file(AlgorithmCode("parse.py")) == tmp_path / "parse.py"
    assert file(AlgorithmCode("src")) == tmp_path / "src" / "main.py"
    assert file(AlgorithmCode("src", "app.py")) == tmp_path / "src" / "app.py"
    assert file(AlgorithmCode(str(tmp_path / "x.py"))) == tmp_path / "x.py"
