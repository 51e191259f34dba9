"""Who an instance must know: the instances of its parent and child nodes.

All instances of a node have the same peers, so peers are made per node, and a change of one instance (an endpoint, a
new life, its end) touches exactly the nodes beside its own. Peers are told whole and with a version: a difference that
is lost would have to be asked for, and a whole that is lost is simply replaced by the next one.
"""

from __future__ import annotations

import dataclasses

from streamer.control.lifecycle import InstancePhase
from streamer.control.state import InstanceRecord, JobState, Partition
from streamer.plan.assignment import Ownership, Peer, Peers, PeerState
from streamer.plan.compile import Plan, PlannedNode


def parents(node: PlannedNode) -> frozenset[str]:
    return frozenset(edge.source for edge in node.inputs)


def children(node: PlannedNode) -> frozenset[str]:
    return frozenset(edge.target for edge in node.outputs)


def peers_of(state: JobState, name: str) -> Peers:
    """What every instance of node `name` is to know now."""
    node = state.plan.nodes[name]
    above, below = parents(node), children(node)
    records = [record for record in state.instances.values() if record.phase is not InstancePhase.RETIRED]
    return Peers(
        state.versions[name],
        tuple(_peer(record) for record in records if record.node in above),
        tuple(_peer(record) for record in records if record.node in below),
        owned=_owned(state.partitions[name]) if name in state.partitions else None,
        owners={
            child: Ownership(partition.epoch, partition.replicas)
            for child, partition in state.partitions.items()
            if child in below
        },
    )


def changed(state: JobState, name: str) -> JobState:
    """An instance of node `name` is no longer what its peers know: the nodes beside it get a new version."""
    node = state.plan.nodes[name]
    version = 1 + max(state.versions.values(), default=0)
    beside = dict.fromkeys(parents(node) | children(node), version)
    return dataclasses.replace(state, versions={**state.versions, **beside})


def owned_otherwise(state: JobState, name: str) -> JobState:
    """The instances of node `name` are to go by other owners than they know: they get a new version."""
    version = 1 + max(state.versions.values(), default=0)
    return dataclasses.replace(state, versions={**state.versions, name: version})


def rewired(state: JobState, before: Plan) -> JobState:
    """The edges of the plan are others than before: nodes that have other neighbours now get a new version."""
    version = 1 + max(state.versions.values(), default=0)
    now = state.plan.nodes
    beside = {
        name: version
        for name, node in before.nodes.items()
        if (parents(node), children(node)) != (parents(now[name]), children(now[name]))
    }
    return dataclasses.replace(state, versions={**state.versions, **beside})


def _owned(partition: Partition) -> Ownership:
    """What its own instances are told: nobody owns anything while groups are about to change hands."""
    if partition.paused:
        return Ownership(partition.epoch + 1, 0)
    return Ownership(partition.epoch, partition.replicas)


def _peer(record: InstanceRecord) -> Peer:
    gone = record.phase is InstancePhase.COMPLETED
    return Peer(record.node, record.instance, record.epoch, record.endpoint, PeerState.GONE if gone else PeerState.LIVE)
