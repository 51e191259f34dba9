"""Bounds of the user and of the platform: fair shares by priority, and nothing queued for which there is no room."""

from __future__ import annotations

from typing import Any

import pytest

from autoscaler.budget import Wish, share
from autoscaler.snapshot import NodeView, PlatformView, Replicas, Resources, Room
from streamer.plan.assignment import Role


def wish(name: str, held: int, wanted: int, **fields: Any) -> Wish:
    return Wish("job-1", NodeView(name, Role.STATELESS, Replicas(ready=held), **fields), wanted)


def room(capacity: int, held: int) -> PlatformView:
    return PlatformView(Room(instances=capacity), Room(instances=capacity - held))


def test_a_platform_that_tells_nothing_limits_nothing() -> None:
    [grant] = share([wish("a", 1, 900)], PlatformView())

    assert (grant.wanted, grant.short) == (900, 0)


@pytest.mark.parametrize(("wanted", "granted"), [(0, 2), (2, 2), (7, 7), (9, 8)])
def test_a_wish_is_kept_within_the_bounds_of_its_node(wanted: int, granted: int) -> None:
    [grant] = share([wish("a", 3, wanted, min_replicas=2, max_replicas=8)], PlatformView())

    assert grant.wanted == granted
    assert grant.bound == (granted if granted != wanted else None)


def test_what_a_person_has_set_is_not_bounded() -> None:
    [grant] = share([wish("a", 3, 20, max_replicas=8, pinned=20)], PlatformView())

    assert grant.wanted == 20


def test_what_has_no_room_is_told_and_not_queued() -> None:
    [grant] = share([wish("a", 1, 5)], room(3, held=1))

    assert (grant.wanted, grant.short) == (3, 2)


def test_equals_share_a_full_platform() -> None:
    a, b = share([wish("a", 1, 10), wish("b", 1, 10)], room(12, held=2))

    assert (a.wanted, b.wanted) == (6, 6)


def test_each_gets_the_same_part_of_its_wish() -> None:
    a, b = share([wish("a", 1, 20), wish("b", 1, 10)], room(15, held=2))

    assert (a.wanted, b.wanted) == (10, 5)


def test_a_higher_priority_is_served_first_and_nobody_goes_below_its_least() -> None:
    low, high = share([wish("low", 2, 10, min_replicas=2), wish("high", 1, 10, priority=5)], room(12, held=3))

    assert (high.wanted, low.wanted) == (10, 2)


def test_who_has_more_than_its_part_gives_it_up_to_who_wants_it() -> None:
    a, b = share([wish("a", 10, 10), wish("b", 2, 10)], room(12, held=12))

    assert a.wanted == 6
    assert b.wanted == 2, "what a gives up is free in a later pass"
    assert b.short == 8


def test_accelerators_are_a_resource_by_kind() -> None:
    platform = PlatformView(Room(gpu={"h100": 3.0, "l4": 8.0}), Room(gpu={"h100": 2.0, "l4": 8.0}))
    fast = wish("a", 1, 5, resources=Resources(gpu=1.0, gpu_kind="h100"))
    other = wish("b", 1, 4, resources=Resources(cpu=64.0))

    a, b = share([fast, other], platform)

    assert (a.wanted, a.short) == (3, 2)
    assert (b.wanted, b.short) == (4, 0)


def test_a_kind_of_accelerator_that_is_not_there_has_no_room() -> None:
    platform = PlatformView(Room(gpu={}), Room(gpu={}))

    [grant] = share([wish("a", 0, 1, resources=Resources(gpu=1.0, gpu_kind="h100"))], platform)

    assert (grant.wanted, grant.short) == (0, 1)


def test_where_kinds_are_not_told_an_accelerator_is_of_the_kind_that_is_asked_for() -> None:
    platform = PlatformView(Room(gpu={"": 3.0}), Room(gpu={"": 3.0}))

    [grant] = share([wish("a", 0, 5, resources=Resources(gpu=1.0, gpu_kind="h100"))], platform)

    assert (grant.wanted, grant.short) == (3, 2)
