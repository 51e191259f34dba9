"""What an instance needs of a machine, and what a machine has for instances.

Numbers of cores and bytes are what is asked for and not what is used, as in a cluster: they decide where an instance is
started, and nothing measures them afterwards. A machine that does not say how much it has of something is not bounded
by it: on a laptop the number of processes is the bound that counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

from streamer.cluster_limits import (
    AGENT_INSTANCES,
)
from streamer.descriptor.rules import MismatchError, Rule, number, quantity
from streamer.errors import OptionError


@dataclass(frozen=True, slots=True)
class Needs:
    """Cores, accelerators and bytes of memory, of one instance or of several together."""

    cpu: float = 0.0
    gpu: float = 0.0
    mem: int = 0
    instances: int = 1

    def plus(self, other: Needs) -> Needs:
        return Needs(self.cpu + other.cpu, self.gpu + other.gpu, self.mem + other.mem, self.instances + other.instances)


NOTHING = Needs(instances=0)


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a machine has: None is as much as is asked for."""

    cpu: float | None = None
    gpu: float | None = None
    mem: int | None = None
    instances: int | None = AGENT_INSTANCES

    def lacks(self, used: Needs, needed: Needs) -> tuple[str, ...]:
        """Names of what there is not enough of for one that needs this, beside what is used."""
        total = used.plus(needed)
        return tuple(f.name for f in fields(self) if _exceeds(getattr(total, f.name), getattr(self, f.name)))

    def share(self, used: Needs) -> float:
        """The largest part, 0 to 1, that is used of anything that is bounded."""
        return max((_part(getattr(used, f.name), getattr(self, f.name)) for f in fields(self)), default=0.0)


def parse_capacity(text: str) -> Capacity:
    """Of `cpu=8,gpu=1,mem=16Gi,instances=64`, each of them or none. Raises OptionError with all that is wrong."""
    rules: dict[str, Rule[float] | Rule[int]] = {
        "cpu": number(0),
        "gpu": number(0),
        "mem": quantity(0),
        "instances": _whole,
    }
    found: dict[str, float | int] = {}
    wrong = []
    for part in (part.strip() for part in text.split(",") if part.strip()):
        name, _, value = part.partition("=")
        rule: Callable[[str], float | int] | None = rules.get(name)
        if rule is None:
            wrong.append(f"{part!r} is none of {', '.join(f'{known}=' for known in rules)}")
            continue
        try:
            found[name] = rule(value)
        except MismatchError as error:
            wrong.append(f"{name}: {error}")
    if wrong:
        raise OptionError(
            f"--capacity {text!r}: {'; '.join(wrong)}", remedy="Write it as cpu=8,gpu=1,mem=16Gi,instances=64."
        )
    return Capacity(**found)  # type: ignore[arg-type]  # each rule gives what its field holds


def _whole(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    raise MismatchError(f"{value!r} is no number of instances", "Write a whole number.")


def _exceeds(wanted: float, there: float | None) -> bool:
    return there is not None and wanted > there + 1e-9


def _part(used: float, there: float | None) -> float:
    if there is None:
        return 0.0
    return used / there if there else float(used > 0)
