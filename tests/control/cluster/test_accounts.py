"""The account of a job on several machines counts each message once, wherever the pages of its instances lie."""

from __future__ import annotations

import dataclasses

from streamer.control.cluster.accounts import Pages
from streamer.control.cluster.wire import JobReport, Left
from streamer.control.events import Exited
from streamer.control.state import JobState
from streamer.protocol.account import EdgeCounts, InstanceAccount
from tests.control.plans import LINE
from tests.control.stage import Stage


def _on(agent: str) -> JobState:
    """The job with parse-1 on this machine."""
    stage = Stage(LINE)
    record = dataclasses.replace(stage.record("parse-1"), agent=agent)
    return stage.state.having(record)


def _left(agent: str, home: str, sent: int, settled: int) -> JobReport:
    page = InstanceAccount(received=sent, edges=[EdgeCounts("save", sent, settled, in_flight=sent - settled)])
    return JobReport(agent, left=(Left(Exited("parse-1", 1, 0), page),), home=home)


def test_an_instance_that_went_on_elsewhere_has_the_sum_of_its_pages() -> None:
    pages = Pages()
    pages.take(_left("a", "home of a", sent=100, settled=90))
    pages.take(_left("b", "home of b", sent=50, settled=45))

    (edge,) = pages.of(_on("b"))["parse-1"].edges

    assert (edge.sent, edge.settled, edge.abandoned, edge.in_flight) == (150, 135, 10, 5)


def test_machines_that_share_a_folder_have_one_page_of_it() -> None:
    pages = Pages()
    pages.take(_left("a", "shared", sent=100, settled=90))
    pages.take(_left("b", "shared", sent=150, settled=145))
    pages.take(_left("a", "shared", sent=100, settled=90))

    (edge,) = pages.of(_on("b"))["parse-1"].edges

    assert (edge.sent, edge.settled, edge.abandoned, edge.in_flight) == (150, 145, 0, 5)
