"""The account page of an instance: what one life published is what the next one begins with, and what a reader sees."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from streamer.errors import StateError
from streamer.limits import SETTLED_RANGES_MAX
from streamer.protocol.account import EdgeCounts, InstanceAccount
from streamer.state.account import ACCOUNT_FILE, AccountPage, read_account
from tests.state import endless_account, endless_edges

_KILLS = 8


def page_of(folder: Path, *targets: str, replayable: bool = False) -> AccountPage:
    return AccountPage(folder, targets or ("save",), replayable=replayable)


def test_a_first_life_begins_with_an_empty_account_of_all_its_edges(tmp_path: Path) -> None:
    page = page_of(tmp_path, "save", "alert")
    assert [edge.target for edge in page.account.edges] == ["save", "alert"]
    assert read_account(tmp_path) == page.account


def test_what_was_not_published_is_not_seen(tmp_path: Path) -> None:
    page = page_of(tmp_path, "save")
    page.account.received = 7
    assert read_account(tmp_path) == InstanceAccount(edges=[EdgeCounts("save")])
    page.publish()
    assert read_account(tmp_path) == page.account


def test_what_a_former_life_had_in_flight_is_abandoned(tmp_path: Path) -> None:
    page = page_of(tmp_path)
    edge = page.account.edge("save")
    edge.sent, edge.settled, edge.in_flight = 10, 6, 4
    page.account.completed = 3
    page.publish()
    page.close()

    (after,) = page_of(tmp_path).account.edges

    assert (after.sent, after.settled, after.abandoned, after.in_flight) == (10, 6, 4, 0)
    found = read_account(tmp_path)
    assert found is not None
    assert found.edges == [after]
    assert found.completed == 3


def test_reading_an_account_changes_nothing(tmp_path: Path) -> None:
    page = page_of(tmp_path)
    page.account.edge("save").sent = page.account.edge("save").in_flight = 5
    page.publish()
    assert [read_account(tmp_path) for _ in range(2)] == [page.account] * 2


def test_an_instance_that_never_came_so_far_has_no_account(tmp_path: Path) -> None:
    assert read_account(tmp_path) is None
    (tmp_path / ACCOUNT_FILE).write_bytes(b"")
    assert read_account(tmp_path) is None


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / ACCOUNT_FILE).write_bytes(b"not a page, but longer than the head of one")
    with pytest.raises(StateError, match="is not a page"):
        read_account(tmp_path)
    with pytest.raises(StateError, match="is not a page"):
        page_of(tmp_path)


def test_an_account_gets_the_edges_of_a_later_life_and_keeps_those_of_a_former_one(tmp_path: Path) -> None:
    page = page_of(tmp_path, "save")
    page.account.edge("save").sent = page.account.edge("save").settled = 7
    page.publish()
    page.close()
    after = page_of(tmp_path, "alert", "x" * 200)
    assert [(edge.target, edge.sent) for edge in after.account.edges] == [("save", 7), ("alert", 0), ("x" * 200, 0)]
    assert read_account(tmp_path) == after.account


def test_an_account_grows_while_it_is_mapped(tmp_path: Path) -> None:
    page = page_of(tmp_path, "save")
    for number in range(100):
        page.account.edge(f"another-node-{number}").sent = number
        page.account.edges[-1].in_flight = number
        page.publish()
        assert read_account(tmp_path) == page.account


def test_the_page_of_a_source_has_room_for_many_settled_ranges(tmp_path: Path) -> None:
    page = page_of(tmp_path, "parse", replayable=True)
    roots = page.account.edge("parse").roots
    for n in range(2 * SETTLED_RANGES_MAX):
        roots.add(2 * n + 1, 2 * n + 2)
    page.publish()
    found = read_account(tmp_path)
    assert found is not None
    assert found.edges[0].roots.ranges == roots.ranges[: 2 * SETTLED_RANGES_MAX]


def test_an_account_that_was_killed_while_it_grew_is_whole_and_has_all_its_edges(
    tmp_path: Path,
) -> None:
    chance, known = random.Random(5), 0
    for life in range(_KILLS):
        command = [sys.executable, endless_edges.__file__, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.read(1) == b"."
            with pytest.raises(subprocess.TimeoutExpired):
                writer.wait(timeout=chance.uniform(0.0, 0.01))
            beside = read_account(tmp_path)
            writer.kill()
        found = read_account(tmp_path)
        assert found is not None
        assert beside is not None
        assert known < len(beside.edges) <= len(found.edges), f"life {life}"
        assert [edge.sent for edge in found.edges[1:]] == list(range(2, len(found.edges) + 1))
        known = len(found.edges)


def test_an_account_of_an_instance_killed_at_any_moment_is_balanced_and_never_goes_back(tmp_path: Path) -> None:
    chance, sent = random.Random(3), 0
    for life in range(_KILLS):
        command = [sys.executable, endless_account.__file__, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.read(1) == b"."
            with pytest.raises(subprocess.TimeoutExpired):
                writer.wait(timeout=chance.uniform(0.0, 0.01))
            writer.kill()
        found = read_account(tmp_path)
        assert found is not None
        (edge,) = found.edges
        assert edge.balanced
        assert edge.sent > sent, f"life {life}"
        assert len(edge.roots) == edge.settled
        sent = edge.sent
