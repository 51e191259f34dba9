"""An algorithm: the code that nodes run, and what it needs of a machine.

The shape is HKube's, with both spellings of code and resources (flat, and the nested form of its command line); what a
single machine does not use (images, volumes, selectors) is read, checked and kept for the platform that does. Only
where `code` lies matters here, and its path is relative to the document, so that a folder can be moved as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from streamer.descriptor.document import Document, Value
from streamer.descriptor.fields import Fields, Report
from streamer.descriptor.node import StateType
from streamer.descriptor.rules import (
    algorithm_name,
    anything,
    choice,
    flag,
    free_mapping,
    free_text,
    member,
    number,
    quantity_text,
    text,
    text_mapping,
    whole,
)

_RECORD_FIELDS = (
    "auditTrail",
    "created",
    "debugUrl",
    "errors",
    "fileInfo",
    "gatewayUrl",
    "modified",
    "unscheduledReason",
    "userInfo",
)
"""What a stored algorithm carries beside its descriptor."""
_ENTRY_POINT_DEFAULT = "main.py"
_KINDS = ("batch", "stream", "debug", "gateway", "output", "hyperparamsTuner")
_MEMORY_BYTES_MIN = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class AlgorithmCode:
    """`path` as it is written: a file, or a folder with `entry_point`."""

    path: str
    entry_point: str | None = None


@dataclass(frozen=True, slots=True)
class GitRepository:
    url: str
    branch_name: str = "master"
    tag: str | None = None
    commit: Mapping[str, Value] = field(default_factory=dict)
    token: str | None = None
    git_kind: str = "github"


@dataclass(frozen=True, slots=True)
class AlgorithmOptions:
    dev_mode: bool = False
    dev_folder: str | None = None
    pending: bool = False
    opengl: bool = False


@dataclass(frozen=True, slots=True)
class Resources:
    """What one instance asks of a machine."""

    cpu: float = 0.1
    gpu: float = 0.0
    mem: str = "256Mi"
    reserved_memory: str | None = None
    apply_cpu_limits: bool = True
    worker_custom_resources: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where and beside what a cluster puts an instance; free mappings are those of Kubernetes."""

    node_selector: Mapping[str, Value] = field(default_factory=dict)
    labels: Mapping[str, Value] = field(default_factory=dict)
    annotations: Mapping[str, Value] = field(default_factory=dict)
    mounts: tuple[Mapping[str, Value], ...] = ()
    volumes: tuple[Mapping[str, Value], ...] = ()
    volume_mounts: tuple[Mapping[str, Value], ...] = ()
    side_cars: tuple[Mapping[str, Value], ...] = ()
    security_context: Mapping[str, Value] = field(default_factory=dict)
    kai_object: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Algorithm:
    """`folder` is the folder of the document, where `code.path` begins."""

    name: str
    folder: str = "."
    code: AlgorithmCode | None = None
    type: str = "Image"
    kind: str = "batch"
    state_type: StateType | None = None
    env: str | None = None
    algorithm_image: str | None = None
    base_image: str | None = None
    dependency_install_cmd: str | None = None
    download_file_ext: str | None = None
    description: str = ""
    version: str | None = None
    min_hot_workers: int = 0
    max_workers: int = 0
    quota_guarantee: int | None = None
    resources: Resources = field(default_factory=Resources)
    options: AlgorithmOptions = field(default_factory=AlgorithmOptions)
    placement: Placement = field(default_factory=Placement)
    algorithm_env: Mapping[str, Value] = field(default_factory=dict)
    worker_env: Mapping[str, Value] = field(default_factory=dict)
    git_repository: GitRepository | None = None


def code_file(algorithm: Algorithm) -> Path | None:
    """The absolute file that holds the code, whether it exists or not; None if the algorithm has no code."""
    if algorithm.code is None:
        return None
    path = Path(algorithm.folder, algorithm.code.path).absolute()
    return path / (algorithm.code.entry_point or _ENTRY_POINT_DEFAULT) if path.is_dir() else path


def read_algorithm(document: Document, report: Report) -> Algorithm:
    """What is wrong with it goes into the report."""
    fields = report.top()
    code = _code(fields)
    algorithm = Algorithm(
        name=fields.named("name", algorithm_name, example="name: parse"),
        folder=document.folder,
        type=fields.optional("type", choice("Git", "Code", "Image"), "Code" if code is not None else "Image"),
        kind=fields.optional("kind", choice(*_KINDS), "batch"),
        state_type=fields.optional("stateType", member(StateType), None),
        env=fields.optional("env", choice("python", "nodejs", "java", "jvm"), None),
        algorithm_image=fields.optional("algorithmImage", text(pattern=r"^\S*$", what="an image without spaces"), None),
        base_image=fields.optional("baseImage", free_text, None),
        dependency_install_cmd=fields.optional("dependencyInstallCmd", free_text, None),
        download_file_ext=fields.optional("downloadFileExt", free_text, None),
        description=fields.optional("description", free_text, ""),
        version=fields.optional("version", free_text, None),
        min_hot_workers=fields.optional("minHotWorkers", whole(0), 0),
        max_workers=fields.optional("maxWorkers", whole(0), 0),
        quota_guarantee=fields.optional("quotaGuarantee", whole(0), None),
        resources=_resources(fields),
        options=_options(fields.child("options")),
        placement=_placement(fields),
        algorithm_env=fields.entries("algorithmEnv", _environment),
        worker_env=fields.entries("workerEnv", _environment),
        code=code,
        git_repository=_git_repository(fields.child("gitRepository")),
    )
    fields.ignore(_RECORD_FIELDS)
    fields.close(where="an algorithm")
    return algorithm


def _code(fields: Fields) -> AlgorithmCode | None:
    outer = fields.optional("entryPoint", _entry_point, None)
    code = fields.child("code")
    if code is None:
        return None
    path = code.required("path", text(what="a path"), "", example="path: parse.py")
    entry_point = code.optional("entryPoint", _entry_point, outer)
    code.close(where="code")
    return AlgorithmCode(path, entry_point) if path else None


def _entry_point(value: Value) -> str:
    return text(pattern=r"^(?!/)(?!.*(^|/)\.\.(/|$))", what="a file below code.path")(value)


def _resources(fields: Fields) -> Resources:
    nested = fields.child("resources")
    base = _amounts(fields, Resources())
    found = replace(
        base if nested is None else _amounts(nested, base),
        reserved_memory=fields.optional("reservedMemory", quantity_text(0), None),
        apply_cpu_limits=fields.optional("applyCpuLimits", flag, True),
        worker_custom_resources=fields.optional("workerCustomResources", free_mapping, {}),
    )
    if nested is not None:
        nested.close(where="resources")
    return found


def _amounts(fields: Fields, default: Resources) -> Resources:
    return Resources(
        cpu=fields.optional("cpu", number(0), default.cpu),
        gpu=fields.optional("gpu", number(0), default.gpu),
        mem=fields.optional("mem", quantity_text(_MEMORY_BYTES_MIN), default.mem),
    )


def _options(fields: Fields | None) -> AlgorithmOptions:
    if fields is None:
        return AlgorithmOptions()
    options = AlgorithmOptions(
        dev_mode=fields.optional("devMode", flag, False),
        dev_folder=fields.optional("devFolder", free_text, None),
        pending=fields.optional("pending", flag, False),
        opengl=fields.optional("opengl", flag, False),
    )
    fields.ignore(("debug",))
    fields.close(where="options of an algorithm")
    return options


def _placement(fields: Fields) -> Placement:
    return Placement(
        node_selector=fields.entries("nodeSelector", anything),
        labels=fields.optional("labels", text_mapping, {}),
        annotations=fields.optional("annotations", text_mapping, {}),
        mounts=fields.many("mounts", free_mapping),
        volumes=fields.many("volumes", free_mapping),
        volume_mounts=fields.many("volumeMounts", free_mapping),
        side_cars=fields.many("sideCars", free_mapping),
        security_context=fields.optional("securityContext", free_mapping, {}),
        kai_object=fields.optional("kaiObject", free_mapping, {}),
    )


def _environment(value: Value) -> Value:
    """A text, or one reference to where a cluster finds it."""
    return value if isinstance(value, dict) else free_text(value)


def _git_repository(fields: Fields | None) -> GitRepository | None:
    if fields is None:
        return None
    repository = GitRepository(
        url=fields.required("url", text(what="an address"), "", example="url: https://host/name.git"),
        branch_name=fields.optional("branchName", text(), "master"),
        tag=fields.optional("tag", free_text, None),
        commit=fields.optional("commit", free_mapping, {}),
        token=fields.optional("token", free_text, None),
        git_kind=fields.optional("gitKind", choice("github", "gitlab"), "github"),
    )
    fields.ignore(("cloneUrl", "webUrl"))
    fields.close(where="gitRepository")
    return repository
