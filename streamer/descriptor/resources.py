"""What an instance needs of a machine, and what a machine has for instances.

Numbers of cores and bytes are what is asked for and not what is used, as in a cluster: they decide where an instance is
started, and nothing measures them afterwards. A machine that does not say how much it has of something is not bounded
by it: on a laptop the number of processes is the bound that counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from streamer.cluster_limits import (
    AGENT_INSTANCES,
)
from streamer.descriptor.document import Value
from streamer.descriptor.rules import MismatchError, Rule, number, quantity
from streamer.errors import OptionError


@dataclass(frozen=True, slots=True)
class Needs:
    """Cores, accelerators and bytes of memory, of one instance or of several together.

    `kinds` are those of the accelerators that have to be of a kind.
    """

    cpu: float = 0.0
    gpu: float = 0.0
    mem: int = 0
    instances: int = 1
    kinds: Mapping[str, float] = field(default_factory=dict)

    def plus(self, other: Needs) -> Needs:
        kinds = {
            kind: self.kinds.get(kind, 0.0) + other.kinds.get(kind, 0.0)
            for kind in dict.fromkeys((*self.kinds, *other.kinds))
        }
        return Needs(
            self.cpu + other.cpu, self.gpu + other.gpu, self.mem + other.mem, self.instances + other.instances, kinds
        )


NOTHING = Needs(instances=0)


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a machine has: None is as much as is asked for. `kinds` are its accelerators by kind, None if it does not
    say which it has: each is then of the kind that is asked for."""

    cpu: float | None = None
    gpu: float | None = None
    mem: int | None = None
    instances: int | None = AGENT_INSTANCES
    kinds: Mapping[str, float] | None = None

    def lacks(self, used: Needs, needed: Needs) -> tuple[str, ...]:
        """Names of what there is not enough of for one that needs this, beside what is used."""
        total = used.plus(needed)
        lacking = [name for name in _AMOUNTS if _exceeds(getattr(total, name), getattr(self, name))]
        if self.kinds is not None:
            lacking += [
                f"gpu {kind}" for kind in needed.kinds if _exceeds(total.kinds[kind], self.kinds.get(kind, 0.0))
            ]
        return tuple(lacking)

    def share(self, used: Needs) -> float:
        """The largest part, 0 to 1, that is used of anything that is bounded."""
        return max((_part(getattr(used, name), getattr(self, name)) for name in _AMOUNTS), default=0.0)


_AMOUNTS = ("cpu", "gpu", "mem", "instances")
_OF_KIND = "gpu:"
_KIND_LABELS = ("nvidia.com/gpu.product", "cloud.google.com/gke-accelerator", "k8s.amazonaws.com/accelerator")
"""Labels of nodes that say which accelerators they have, as those who make clusters set them."""


def accelerator_of(selector: Mapping[str, Value]) -> str:
    """The kind of accelerator that a selector of nodes asks for, '' if it may be any, or one of several."""
    asked = next((selector[label] for label in _KIND_LABELS if label in selector), "")
    if isinstance(asked, list | tuple):
        asked = asked[0] if len(asked) == 1 else ""
    return str(asked)


def parse_capacity(text: str) -> Capacity:
    """Of `cpu=8,gpu=1,mem=16Gi,instances=64`, each of them or none; accelerators of known kinds are written
    `gpu:KIND=1`. Raises OptionError with all that is wrong."""
    rules: dict[str, Rule[float] | Rule[int]] = {
        "cpu": number(0),
        "gpu": number(0),
        "mem": quantity(0),
        "instances": _whole,
    }
    found: dict[str, float | int] = {}
    kinds: dict[str, float] = {}
    wrong = []
    for part in (part.strip() for part in text.split(",") if part.strip()):
        name, _, value = part.partition("=")
        kind = name.removeprefix(_OF_KIND) if name.startswith(_OF_KIND) else ""
        rule: Callable[[str], float | int] | None = rules.get("gpu" if kind else name)
        if rule is None:
            wrong.append(f"{part!r} is none of {', '.join(f'{known}=' for known in rules)}")
            continue
        try:
            if kind:
                kinds[kind] = rule(value)
            else:
                found[name] = rule(value)
        except MismatchError as error:
            wrong.append(f"{name}: {error}")
    if kinds and "gpu" in found:
        wrong.append(f"gpu= and {_OF_KIND}{next(iter(kinds))}= are both given, and the second is part of the first")
    if wrong:
        raise OptionError(
            f"--capacity {text!r}: {'; '.join(wrong)}",
            remedy="Write it as cpu=8,gpu=1,mem=16Gi,instances=64; instead of gpu=, gpu:h100=1,gpu:l4=2 tells kinds.",
        )
    if kinds:
        found["gpu"] = sum(kinds.values())
    return Capacity(**found, kinds=kinds or None)  # type: ignore[arg-type]  # each rule gives what its field holds


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
