"""Where messages of a node go while the flows change: each on in its own version, new ones in that in force."""

from __future__ import annotations

import pytest

from streamer.errors import FlowError
from streamer.limits import FLOW_VERSIONS_MAX, ROUTES_MAX
from streamer.protocol.history import Taken
from streamer.runtime.exits import Detour, Exits, Fate
from tests.runtime.wirings import route_of, wiring

OLD, NEW = "a >> b >> c", "a >> c >> b"
BOTH = wiring("b", 2, OLD, NEW)


def test_each_version_has_numbers_of_its_own() -> None:
    assert (route_of(BOTH, 1, "a"), route_of(BOTH, 2, "a")) == (0, ROUTES_MAX)
    exits = Exits("b", BOTH)
    assert [exits.version_of(route_of(BOTH, version, "b")) for version in (1, 2)] == [1, 2]


def test_a_message_goes_on_in_its_own_version_and_a_new_one_takes_that_in_force() -> None:
    exits = Exits("c", wiring("c", 2, OLD, NEW))
    assert not exits.continues(route_of(BOTH, 1, "c"))
    assert exits.continues(route_of(BOTH, 2, "c"))
    assert exits.unnamed(None) == route_of(BOTH, 2, "c")


def test_a_version_that_is_only_proposed_is_known_and_not_taken() -> None:
    proposed = wiring("c", 2, OLD, NEW, current=1)
    exits = Exits("c", proposed)
    assert exits.continues(route_of(proposed, 2, "c"))
    assert exits.version == 1
    with pytest.raises(FlowError, match="does not continue at node 'c'"):
        exits.unnamed(None)


def test_names_are_looked_up_in_the_version_of_the_message_in_hand() -> None:
    exits = Exits("c", wiring("c", 2, OLD, NEW))
    assert exits.named("main", route_of(BOTH, 2, "c")) == route_of(BOTH, 2, "c")
    with pytest.raises(FlowError, match="flow 'main' does not continue at node 'c'; no flow continues"):
        exits.named("main", route_of(BOTH, 1, "c"))


def test_a_version_that_is_held_stays_known_until_it_is_not() -> None:
    exits = Exits("b", BOTH)
    only_new = wiring("b", 3, NEW, oldest=2)

    assert exits.take(only_new, {1})
    assert exits.continues(route_of(BOTH, 1, "b"))

    assert exits.take(wiring("b", 4, NEW, oldest=2), set())
    assert exits.fate(route_of(BOTH, 1, "b")) is Fate.LATE
    assert exits.flow_of(route_of(BOTH, 1, "b")) == ""


def test_a_version_whose_numbers_a_held_one_has_is_not_taken() -> None:
    exits = Exits("b", BOTH)
    far = wiring("b", 3, OLD, NEW, oldest=FLOW_VERSIONS_MAX + 1)

    assert not exits.take(far, {1})
    assert exits.wiring is BOTH
    assert exits.take(far, set())


def test_the_next_version_is_early_and_all_else_that_is_unknown_is_late() -> None:
    exits = Exits("b", BOTH)
    assert exits.fate(route_of(BOTH, 2, "b")) is Fate.KNOWN
    assert exits.fate(2 * ROUTES_MAX + 1) is Fate.EARLY
    assert exits.fate(3 * ROUTES_MAX + 1) is Fate.LATE
    assert exits.fate((FLOW_VERSIONS_MAX - 1) * ROUTES_MAX) is Fate.LATE


def test_when_all_numbers_are_taken_nothing_is_early() -> None:
    full = wiring("b", 1, *[(OLD, NEW)[at % 2] for at in range(FLOW_VERSIONS_MAX)], oldest=5)
    exits = Exits("b", full)
    fates = [exits.fate(part * ROUTES_MAX + 4_000) for part in range(FLOW_VERSIONS_MAX)]
    assert fates == [Fate.LATE] * FLOW_VERSIONS_MAX


def test_records_take_the_version_that_is_asked_for_if_it_is_known() -> None:
    exits = Exits("a", wiring("a", 1, OLD, NEW))
    assert exits.of_source() == exits.of_source(2) == route_of(BOTH, 2, "a")
    assert exits.of_source(1) == route_of(BOTH, 1, "a")
    assert exits.of_source(3) is None
    assert exits.of_source(1 + FLOW_VERSIONS_MAX) is None


# -- canaries ----------------------------------------------------------------------------------------------------------

CANARY = wiring("a", 2, OLD, NEW, parts=2_500)


def test_roots_are_numbered_by_the_version_in_force_and_the_canary_says_where_its_share_goes() -> None:
    exits = Exits("a", CANARY)
    assert exits.version == 1
    assert exits.taking == Taken(1, 2, 2_500)
    assert exits.unnamed(None) == exits.named("main", None) == route_of(CANARY, 1, "a")
    assert exits.detour(None) == exits.detour("main") == Detour(route_of(CANARY, 2, "a"), 2_500)


def test_a_root_that_cannot_begin_in_the_canary_has_no_other_way_than_the_version_in_force() -> None:
    assert Exits("c", wiring("c", 2, NEW, OLD, parts=2_500)).detour(None) is None
    assert Exits("a", CANARY).detour("none") is None


def test_no_root_takes_a_canary_whose_share_is_nothing() -> None:
    exits = Exits("a", wiring("a", 2, OLD, NEW, parts=0))
    assert (exits.detour(None), exits.taking) == (None, Taken(1))
    assert exits.continues(route_of(CANARY, 2, "a"))


def test_a_dead_letter_of_a_canary_goes_by_its_version_again_and_by_that_in_force_if_it_is_told_so() -> None:
    exits = Exits("b", wiring("b", 2, OLD, NEW, parts=2_500))
    assert exits.at("main", 0, 2) == route_of(CANARY, 2, "b")
    assert exits.at("main", 0, None) == route_of(CANARY, 1, "b")
