"""The metrics that the autoscaler reads are those that jobs show, and a job that lacks some is told by name."""

from __future__ import annotations

from autoscaler.collect.series import AGE, NAMES, Scrapes, complaint
from streamer.metrics.exposition import Observation, families
from tests.autoscaler.sources import sample


def test_every_metric_that_is_read_is_shown_by_a_job() -> None:
    shown = {
        series.name
        for family in families(Observation("job", "words", (sample("parse-0", 1, 0.1),), ages_s={"parse-0": 0.1}))
        for series in family.samples
    }

    assert set(NAMES) <= shown


def told(*names: str) -> Scrapes:
    scrapes = Scrapes()
    for name in names:
        scrapes.add(name, {"job": "j", "node": "parse", "instance": "parse-0", "target": "save"}, 10.0, 1.0)
    return scrapes


def test_a_job_that_tells_everything_gives_no_complaint() -> None:
    assert complaint(told(*NAMES)) == ""


def test_a_job_of_another_version_is_told_by_name_with_what_it_lacks() -> None:
    without = complaint(told(*(name for name in NAMES if name not in (AGE, "streamer_edge_fullness_ratio"))))

    assert "job j is told without streamer_report_age_seconds, streamer_edge_fullness_ratio" in without
    assert "start it anew" in without


def test_without_the_age_of_a_report_nothing_is_known_of_its_instance() -> None:
    assert list(told(*(name for name in NAMES if name != AGE)).points()) == []


def test_a_node_without_edges_lacks_nothing() -> None:
    assert (
        complaint(
            told(*(name for name in NAMES if "edge" not in name and "_sent" not in name and "_settled" not in name))
        )
        == ""
    )


def test_a_point_is_as_old_as_the_report_and_not_as_the_scrape() -> None:
    scrapes = Scrapes()
    labels = {"job": "j", "node": "parse", "instance": "parse-0"}
    scrapes.add(AGE, labels, 10.0, 4.0)
    scrapes.add("streamer_messages_received_total", labels, 10.0, 7.0)

    [(key, point)] = scrapes.points()
    assert (key, point.at, point.received, point.busy_s) == (("j", "parse-0"), 6.0, 7.0, None)
