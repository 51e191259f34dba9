"""A decision in plain words: why so many replicas, what would make it one more, and since when."""

from __future__ import annotations

from autoscaler.explanation import explain
from autoscaler.snapshot import PlatformView, Room
from tests.autoscaler.jobs import Autoscaler, source, work


def test_it_says_why_what_would_make_it_one_more_and_since_when() -> None:
    scaler = Autoscaler()
    scaler.decide(source(1000), work(4, 400))
    decision = scaler.passes(60, source(1000), work(14, 1000))

    lines = explain(decision, scaler.now).splitlines()

    assert lines[0] == "work: 14 replicas, for 5 min"
    assert lines[1] == "  because its 14 replicas are what demand and backlog ask for"
    assert "1,000 messages/s arrive, 0 wait; a replica handles 100 per busy second; 14 ready" in lines[2]
    assert "utilisation = 0.75" in lines[3]
    assert lines[4] == "  15 would take more than 1,190 messages/s, or more than 5 s of work waiting"


def test_one_more_than_the_most_takes_another_descriptor_as_well() -> None:
    scaler = Autoscaler()
    decision = scaler.passes(2, source(1000), work(14, 1000, max_replicas=14))

    assert "15 would take a larger maxStatelessCount (or maxReplicas), and more than 1,190" in explain(
        decision, scaler.now, 14
    )


def test_what_it_says_holds() -> None:
    scaler = Autoscaler()
    scaler.decide(source(1180), work(14, 1180))

    assert scaler.decide(source(1195), work(14, 1195)).wanted > 14


def test_a_full_platform_is_what_one_more_would_take() -> None:
    scaler = Autoscaler(platform=PlatformView(Room(instances=8), Room(instances=4)))
    decision = scaler.decide(source(1000), work(4, 400))

    said = explain(decision, scaler.now)

    assert "work: 8 replicas instead of 4" in said
    assert "it wants 14 replicas, and the platform has room for 8" in said
    assert "9 would take more room on the platform" in said


def test_what_is_unknown_is_said_to_be_unknown() -> None:
    scaler = Autoscaler()
    decision = scaler.decide(source(1000, instances=()), work(4, 400))

    said = explain(decision, scaler.now)

    assert "because the demand is not known (4 of 4 ready instances report)" in said
    assert "its demand is unknown" in said


def test_a_person_who_has_pinned_a_node_is_named() -> None:
    scaler = Autoscaler()

    said = explain(scaler.decide(source(1000), work(4, 400, pinned=4)), scaler.now)

    assert "because a person has set 4 replicas" in said
    assert "`streamer scale JOB work auto`" in said
