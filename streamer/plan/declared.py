"""What a node declares about itself, in the words of the plan: replicas, the edges into it, failures, its gateway.

HKube's fields and ours say some of it twice, and this is where they are made one. Defaults of a descriptor are filled
in when it is read; what they mean for the job is decided here.
"""

from __future__ import annotations

from dataclasses import dataclass

from streamer.descriptor.node import Node
from streamer.limits import HOP_LIMIT_DEFAULT, QUEUE_BYTES_DEFAULT
from streamer.plan.assignment import Delivery, Gateway, OnError, Overload, Role, Then


@dataclass(frozen=True, slots=True)
class Policy:
    """What a node declares for every edge into it."""

    delivery: Delivery = Delivery.AT_LEAST_ONCE
    queue_bytes: int = QUEUE_BYTES_DEFAULT
    hop_limit: int = HOP_LIMIT_DEFAULT
    overload: Overload = Overload.BLOCK


def replicas_of(node: Node, role: Role) -> tuple[int, int | None]:
    """The fewest and the most that the node can have."""
    if role is Role.STATELESS:
        return node.min_stateless_count or 0, node.max_stateless_count
    if not node.partitioning.by and not node.replicated:
        return 1, 1
    least = node.partitioning.least or 1
    return least, node.partitioning.most or least


def policy_of(node: Node) -> Policy:
    edges = node.edges
    return Policy(Delivery(edges.delivery), edges.queue_bytes, edges.hop_limit, Overload(edges.overload))


def on_error_of(node: Node) -> OnError:
    """HKube's policies that only speak of crashes never try a message again whose handler has raised."""
    if (retry := node.retry) is not None:
        return OnError(limit=retry.limit if retry.policy in ("OnError", "Always") else 0)
    policy = node.on_error
    if policy is None:
        return OnError()
    return OnError(policy.limit, policy.delay_s, policy.factor, policy.max_delay_s, Then(policy.then))


def gateway_of(node: Node) -> Gateway:
    """A gateway without a name of its own has its node's."""
    return Gateway(str(node.spec.get("name", node.name)), int(str(node.spec.get("port", 0))))
