"""Versions of a job's flows: what each leads where, where it comes from, and what a rollback from it leads to.

A version that is over is gone from the instances within a second of its last message, but people want to go back to it
tomorrow. So its texts outlive its routes: a plan keeps those of the last ones, and going back makes a new version of
them. A number never means two things that way, and the rule that versions end in their order has no exception.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from streamer.descriptor.flow import Flow
from streamer.plan.routing import RouteTable, compile_routes


class Made(StrEnum):
    """By what a version came to be."""

    DESCRIPTOR = "descriptor"
    SET = "set"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a version comes from. `at` is the time of day at which it was asked for; None: when the job began.

    `to` is the version whose flows a rollback has again, `back` the one that a rollback from here leads to; 0: none.
    So several rollbacks, one after the other, lead further and further back.
    """

    made: Made = Made.DESCRIPTOR
    at: float | None = None
    to: int = 0
    back: int = 0


@dataclass(frozen=True, slots=True)
class FlowTexts:
    """A version as far as people have written it."""

    number: int
    flows: Mapping[str, str]
    default: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class FlowVersion:
    """One version of a job's flows: their texts by name, and the routes that come of them."""

    flows: Mapping[str, str]
    table: RouteTable
    origin: Origin = field(default_factory=Origin)

    @property
    def number(self) -> int:
        return self.table.version

    @property
    def default(self) -> str:
        return self.table.default_flow

    @property
    def texts(self) -> FlowTexts:
        return FlowTexts(self.number, self.flows, self.default, self.origin)

    def says(self, other: FlowVersion | FlowTexts) -> bool:
        """Whether messages take the same ways by it as by the other one."""
        return self.flows == other.flows and self.default == other.default


def flow_version(flows: Mapping[str, Flow], default: str, number: int, origin: Origin | None = None) -> FlowVersion:
    """Raises DescriptorError if the flows have more positions than a message can number."""
    texts = {name: str(flow) for name, flow in flows.items()}
    return FlowVersion(texts, compile_routes(flows, default, number), origin or Origin())
