"""The port of a rule: what it is shown of a simulated pipeline, and what it answers.

A rule is asked once in each `period_s` seconds and names the replicas that it wants; nodes that it does not name stay
as they are. It may look at whatever a metrics server could tell it of the past, and at nothing of the future.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from autoscaler.simulation.world import World


class Rule(Protocol):
    """`pause_s`: for so long the whole pipeline stands still when replicas change, as in engines that restart a job."""

    @property
    def period_s(self) -> int: ...

    @property
    def pause_s(self) -> int: ...

    def decide(self, world: World) -> Mapping[str, int]: ...
