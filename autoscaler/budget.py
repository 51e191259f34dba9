"""Bounds, in one place: the user's least and most, and a fair part of what the platform has.

A wish that the platform cannot carry out is not queued there: it is granted in part, and the rest is told. When not all
wishes fit, nodes of a higher priority come first, and among equals the one that has the smallest part of its wish gets
the next replica (max-min fairness), so that no node starves beside a large one. A node that has more than its fair part
gives the rest up only to others that want it.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoscaler.snapshot import NodeView, PlatformView, Resources, Room

_Amounts = dict[str, float]


@dataclass(frozen=True, slots=True)
class Wish:
    job: str
    view: NodeView
    wanted: int


@dataclass(frozen=True, slots=True)
class Grant:
    """`wanted` after all bounds. `short`: replicas for which there is no room. `bound`: the user's that was met."""

    wanted: int
    short: int = 0
    bound: int | None = None


def bounded(view: NodeView, wanted: int) -> int:
    """Within the user's bounds. Nobody's wish for less than one replica is one for zero unless the least is zero."""
    most = wanted if view.max_replicas is None else view.max_replicas
    return max(min(wanted, most), view.min_replicas)


def share(wishes: Sequence[Wish], platform: PlatformView) -> list[Grant]:
    """One grant for each wish, in their order."""
    targets = [wish.wanted if wish.view.pinned is not None else bounded(wish.view, wish.wanted) for wish in wishes]
    free = _room(platform)
    growth = [max(0, target - wish.view.replicas.held) for wish, target in zip(wishes, targets, strict=True)]
    if _fits(wishes, growth, free):
        return [
            Grant(target, bound=target if target != wish.wanted else None)
            for wish, target in zip(wishes, targets, strict=True)
        ]
    fair = _fair(wishes, targets, free)
    grants = []
    left = dict(free)
    for wish, target, part in zip(wishes, targets, fair, strict=True):
        held = wish.view.replicas.held
        if target <= held:
            given = min(target, max(part, wish.view.min_replicas))
        elif part <= held:
            given = part
        else:
            given = held + _take(left, wish.view.resources, part - held)
        grants.append(Grant(given, short=target - given, bound=target if target != wish.wanted else None))
    return grants


def _room(platform: PlatformView) -> _Amounts:
    """What is free by name of the resource; one that is not told is missing, and limits nothing."""
    told: _Amounts = {}
    for room in (platform.capacity, platform.free):
        for name, amount in _amounts(room).items():
            told[name] = min(told.get(name, amount), amount)
    return told


def _amounts(room: Room) -> _Amounts:
    plain = {"cpu": room.cpu, "memory": room.memory_bytes, "instances": room.instances}
    amounts: _Amounts = {name: float(amount) for name, amount in plain.items() if amount is not None}
    if room.gpu is not None:
        amounts["gpu"] = sum(room.gpu.values())
        amounts |= {_kind(kind): amount for kind, amount in room.gpu.items()}
    return amounts


def _kind(name: str) -> str:
    return f"gpu {name}"


_ANY_KIND = _kind("")


def _needs(resources: Resources, known: Mapping[str, float]) -> _Amounts:
    """What one replica takes of the resources that are told. A kind of accelerator that is not among them has none,
    unless the platform does not say of which kinds its accelerators are."""
    needs: _Amounts = {"cpu": resources.cpu, "memory": resources.memory_bytes, "instances": 1.0, "gpu": resources.gpu}
    needs = {name: amount for name, amount in needs.items() if amount > 0 and name in known}
    if resources.gpu > 0 and resources.gpu_kind and "gpu" in known and _ANY_KIND not in known:
        needs[_kind(resources.gpu_kind)] = resources.gpu
    return needs


def _fits(wishes: Sequence[Wish], growth: Sequence[int], free: Mapping[str, float]) -> bool:
    taken: _Amounts = {}
    for wish, count in zip(wishes, growth, strict=True):
        for name, amount in _needs(wish.view.resources, free).items():
            taken[name] = taken.get(name, 0.0) + amount * count
    return all(amount <= free.get(name, 0.0) + 1e-9 for name, amount in taken.items() if amount > 0)


def _take(left: _Amounts, resources: Resources, count: int) -> int:
    """How many of `count` replicas there is room for; their room is taken."""
    needs = _needs(resources, left)
    fitting = min([count, *(int((left.get(name, 0.0) + 1e-9) / amount) for name, amount in needs.items())])
    for name, amount in needs.items():
        left[name] = left.get(name, 0.0) - amount * fitting
    return max(0, fitting)


def _fair(wishes: Sequence[Wish], targets: Sequence[int], free: Mapping[str, float]) -> list[int]:
    """The replicas that each would have if all that these nodes hold were given out anew."""
    pool = dict(free)
    for wish in wishes:
        for name, amount in _needs(wish.view.resources, pool).items():
            pool[name] = pool.get(name, 0.0) + amount * wish.view.replicas.held
    parts = [0] * len(wishes)
    queue = []
    for at, (wish, target) in enumerate(zip(wishes, targets, strict=True)):
        parts[at] = _take(pool, wish.view.resources, min(target, wish.view.min_replicas or min(1, target)))
        if parts[at] < target:
            queue.append((-wish.view.priority, parts[at] / target, at))
    heapq.heapify(queue)
    while queue:
        priority, _, at = heapq.heappop(queue)
        if _take(pool, wishes[at].view.resources, 1):
            parts[at] += 1
            if parts[at] < targets[at]:
                heapq.heappush(queue, (priority, parts[at] / targets[at], at))
    return parts
