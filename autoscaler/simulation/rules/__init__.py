"""The rules that can be simulated, by name: ours, and those of other systems, restated from their public sources.

Each file holds one rule as its system has it, with its default constants where those can work at this time scale. They
all see the same measurements, with the same error; a rule that asks a person for a threshold gets the right one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from autoscaler.settings import Settings
from autoscaler.simulation.rules.base import Rule
from autoscaler.simulation.rules.ds2 import Ds2
from autoscaler.simulation.rules.flink import Flink
from autoscaler.simulation.rules.hkube import HKube
from autoscaler.simulation.rules.hpa import Hpa
from autoscaler.simulation.rules.keda import Keda
from autoscaler.simulation.rules.numaflow import Numaflow
from autoscaler.simulation.rules.streamer import Streamer
from streamer.errors import SimulationError

Maker = Callable[[Settings], Rule]
_MAKERS: Mapping[str, Maker] = {
    "streamer": Streamer,
    "hkube": lambda _: HKube(),
    "numaflow": lambda _: Numaflow(),
    "keda": lambda _: Keda(),
    "hpa": lambda _: Hpa(),
    "flink": lambda _: Flink(),
    "ds2": lambda _: Ds2(),
}
NAMES = tuple(_MAKERS)


def makers(name: str) -> dict[str, Maker]:
    """Of one name, or of `all`. Raises SimulationError if there is none."""
    if name == "all":
        return dict(_MAKERS)
    if name not in _MAKERS:
        raise SimulationError(
            f"there is no rule {name}", remedy=f"Name one of {', '.join(NAMES)}, or all of them (all)."
        )
    return {name: _MAKERS[name]}
