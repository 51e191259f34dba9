"""A shape as what a user would have: descriptors in files, and the plan that comes of reading them.

The verifier could make plans directly; then a descriptor that is read wrongly would never be tried. The files stay in
the folder of the job, so that a person can run the same pipeline by hand.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from streamer.descriptor.flow import parse_flow
from streamer.descriptor.load import load
from streamer.errors import DescriptorError
from streamer.plan.compile import Plan, compile_plan, wired
from streamer.plan.versions import flow_version
from streamer.testing.keyed import KEY_FIELD, keyed
from streamer.testing.outcome import Cast, expected
from streamer.testing.verify.checker import Leaf, Ways
from streamer.testing.verify.shapes import Actor, Shape

FLOW = "main"


def descriptor_plan(shape: Shape, folder: Path, rate_per_s: float, counts: Mapping[str, int]) -> Plan:
    """Write the shape's descriptors into `folder` and read them. Sources in `counts` end after so many records."""
    documents = [_pipeline(shape, folder, rate_per_s, counts)]
    documents += [{"name": f"node-{name}", "code": {"path": str(actor.code)}} for name, actor in shape.actors.items()]
    files = []
    for number, document in enumerate(documents):
        files.append(folder / f"descriptor-{number}.json")
        files[-1].write_text(json.dumps(document, indent=1))
    loaded = load(files)
    if loaded.pipeline is None:
        raise DescriptorError("\n".join(map(str, loaded.findings)))
    return compile_plan(loaded.pipeline, loaded.algorithms, folder=folder)


def flow_plans(shape: Shape, plan: Plan) -> Sequence[Plan]:
    """The plan with each of the shape's flows as its only one."""
    versions = (flow_version({FLOW: parse_flow(text, FLOW)}, FLOW, 1) for text in shape.flows)
    return [wired(plan.pipeline, plan.nodes, (version,)) for version in versions]


def ways(shape: Shape, plan: Plan, records: Collection[str]) -> Ways:
    """What must come of these records by the flows of this plan."""
    by_source: dict[str, list[object]] = {}
    for record in records:
        by_source.setdefault(record.partition("#")[0], []).append(record)
    cast = Cast(by_source, {}, {}, {name: actor.behave for name, actor in shape.actors.items()})
    if shape.keys:
        cast = replace(cast, wrap=keyed(shape.keys, keyless=0))
    leaves: dict[str, Counter[Leaf]] = {}
    for (sink, message), count in expected(plan, cast).leaves.items():
        leaves.setdefault(message.partition("/")[0], Counter())[sink, message] = count
    return leaves


def sink_file(folder: Path, sink: str) -> Path:
    return folder / f"{sink}.jsonl"


def _pipeline(shape: Shape, folder: Path, rate_per_s: float, counts: Mapping[str, int]) -> dict[str, object]:
    nodes: list[dict[str, object]] = [_source(name, shape.keys, rate_per_s, counts.get(name)) for name in shape.sources]
    nodes += [{"nodeName": name, "kind": "gateway", "spec": {}} for name in shape.gateways]
    nodes += [_node(name, actor) for name, actor in shape.actors.items()]
    nodes += [
        {"nodeName": name, "kind": "sink", "spec": {"connector": "file", "path": str(sink_file(folder, name))}}
        for name in shape.sinks
    ]
    return {
        "name": f"verify-{shape.name}",
        "kind": "stream",
        "nodes": nodes,
        "streaming": {"flows": {FLOW: shape.flows[0]}},
    }


def _source(name: str, keys: int, rate_per_s: float, count: int | None) -> dict[str, object]:
    value = {"id": f"{name}#{{n}}"}
    if keys:
        value[KEY_FIELD] = f"{{n%{keys}}}"
    spec = {"connector": "generator", "rate": rate_per_s, "value": value}
    return {"nodeName": name, "kind": "source", "spec": spec if count is None else {**spec, "count": count}}


def _node(name: str, actor: Actor) -> dict[str, object]:
    node: dict[str, object] = {
        "nodeName": name,
        "algorithmName": f"node-{name}",
        "stateType": "stateful" if actor.stateful else "stateless",
        "input": list(actor.inputs),
        "concurrency": actor.concurrency,
    }
    if not actor.stateful:
        node |= {"minStatelessCount": actor.replicas, "maxStatelessCount": actor.replicas_max}
    if actor.keyed:
        node |= {"partitionBy": KEY_FIELD, "minReplicas": actor.replicas, "maxReplicas": actor.replicas_max}
    return node
