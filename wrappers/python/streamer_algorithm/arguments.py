"""The `args` that an instance hands to `start`, `init`, `stop` and `exit`, as typed dicts.

They are dicts at run time, with HKube's keys, because that is what its algorithms read. All keys are optional in the
types: which are there depends on the node (only a stateless call has `streamInput`), and a test passes a few.
"""

from __future__ import annotations

from typing import Any, TypedDict


class StreamInput(TypedDict):
    """The message of one stateless call, and the name of the node that sent it."""

    message: Any
    origin: str


class AlgorithmInfo(TypedDict, total=False):
    """`extraData` is the node's own, as the pipeline gives it."""

    extraData: Any
    rootJobId: str


class AlgorithmArgs(TypedDict, total=False):
    """`input` is the node's input with its references resolved; `streamInput` is there in a stateless call only."""

    input: list[Any]
    streamInput: StreamInput
    jobId: str
    taskId: str
    nodeName: str
    algorithmName: str
    pipelineName: str
    kind: str
    stateType: str
    parents: list[str]
    childs: list[str]
    parsedFlow: dict[str, list[dict[str, Any]]]
    defaultFlow: str
    priority: int
    ttl: float
    retry: dict[str, Any]
    spec: dict[str, Any]
    info: AlgorithmInfo
