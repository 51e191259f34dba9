"""What a claim must do in every control log, as tests that a log's own test class inherits.

One log refuses the append of a controller that was replaced, another takes it and its readers ignore it: both are
right, so these tests ask what can be read afterwards, by anyone. The rest of the contract, and the fixture, stand in
`streamer.testing.log_contract`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

from streamer.errors import ClaimError
from streamer.log.base import Claim, newest
from streamer.log.topics import CLAIMED, CLAIMS, Topic
from streamer.testing.log_contract import WRITERS, OpenLog, polled, refused, values


class ClaimContract:
    """Inherit this and `LogContract`, and give a fixture `open_log`."""

    def test_nothing_is_claimed_at_first(self, open_log: OpenLog) -> None:
        assert open_log().claimed("job") is None

    def test_the_newest_claim_is_in_force(self, open_log: OpenLog) -> None:
        one, another = open_log(), open_log()

        first = one.claim("job", "one")
        assert another.claimed("job") == first == Claim("job", first.epoch, "one")
        second = another.claim("job", "another")

        assert second.epoch > first.epoch
        assert one.claimed("job") == second
        assert one.claimed("jo") is None

    def test_an_epoch_is_the_offset_of_its_claim(self, open_log: OpenLog) -> None:
        log = open_log()
        log.claim("job", "one")
        claim = log.claim("job", "another")

        record = log.read(CLAIMS, scope="job").records[-1]

        assert record.is_claim
        assert (record.offset, record.epoch, record.value) == (claim.epoch, claim.epoch, b"another")

    def test_a_claim_stands_in_every_claimed_topic_before_what_is_written_under_it(self, open_log: OpenLog) -> None:
        log = open_log()
        claim = log.claim("job", "me")
        for topic in CLAIMED:
            log.append(topic, "job/a-0", b"1", claim=claim)

        for topic in CLAIMED:
            mark, record = log.read(topic, scope="job").records
            assert (mark.is_claim, mark.epoch) == (True, claim.epoch)
            assert (record.is_claim, record.epoch) == (False, claim.epoch)
        assert newest(log, CLAIMS).keys() == {"job/a-0"}

    def test_what_is_written_under_a_lost_claim_is_never_read(self, open_log: OpenLog) -> None:
        paused, successor = open_log(), open_log()
        lost = paused.claim("job", "paused")
        paused.append(Topic.ASSIGNMENTS, "job/a-0", b"before", claim=lost)
        held = successor.claim("job", "successor")

        for topic in CLAIMED:
            with suppress(ClaimError):
                paused.append(topic, "job/a-0", b"too late", claim=lost)
        successor.append(Topic.ASSIGNMENTS, "job/a-0", b"after", claim=held)
        with suppress(ClaimError):
            paused.append(Topic.ASSIGNMENTS, "job/a-0", b"too late", claim=lost)

        for log in (paused, successor):
            assert values(r for r in log.read(Topic.ASSIGNMENTS).records if not r.is_claim) == [b"before", b"after"]
            assert values(r for r in log.read(Topic.JOBS).records if not r.is_claim) == []
            assert newest(log, Topic.ASSIGNMENTS)["job/a-0"].value == b"after"

    def test_a_holder_that_lost_its_claim_reads_so_where_it_writes(self, open_log: OpenLog) -> None:
        paused, successor = open_log(), open_log()
        lost = paused.claim("job", "paused")
        follower = paused.follow(CLAIMED, paused.end(CLAIMED), scope="job")
        assert follower.poll(0.0) == ()

        held = successor.claim("job", "successor")

        claims = polled(follower.poll, len(CLAIMED))
        assert {record.topic for record in claims} == set(CLAIMED)
        assert {record.epoch for record in claims} == {held.epoch}
        assert held.epoch > lost.epoch

    def test_a_claim_reaches_no_other_scope(self, open_log: OpenLog) -> None:
        log = open_log()
        one, other = log.claim("job1", "one"), log.claim("job10", "other")

        log.append(Topic.JOBS, "job1", b"1", claim=one)
        refused(lambda: log.append(Topic.JOBS, "job10", b"2", claim=one), ClaimError, "does not reach job10")
        log.append(Topic.JOBS, "job10", b"3", claim=other)

        assert {key: record.value for key, record in newest(log, Topic.JOBS).items()} == {"job1": b"1", "job10": b"3"}

    def test_a_claimed_topic_takes_nothing_without_a_claim(self, open_log: OpenLog) -> None:
        log = open_log()

        for topic in CLAIMED:
            refused(lambda topic=topic: log.append(topic, "job", b""), ClaimError, "under a claim")  # type: ignore[misc]  # bound now
        assert log.end(list(CLAIMED)) == log.end(list(CLAIMED))

    def test_everyone_writes_to_the_other_topics_of_a_claimed_job(self, open_log: OpenLog) -> None:
        log, other = open_log(), open_log()
        claim = log.claim("job", "me")

        other.append(Topic.COMMANDS, "job", b"stop")
        log.append(Topic.REPORTS, "job", b"seen", claim=claim)

        assert values(log.read(Topic.COMMANDS).records) == [b"stop"]
        assert [(r.value, r.epoch) for r in log.read(Topic.REPORTS).records] == [(b"seen", None)]

    def test_of_controllers_that_claim_at_once_one_holds(self, open_log: OpenLog) -> None:
        def claim(number: int) -> Claim:
            with closing(open_log()) as log:
                held = log.claim("job", f"controller {number}")
                with suppress(ClaimError):
                    log.append(Topic.ASSIGNMENTS, "job/a-0", b"%d" % held.epoch, claim=held)
                return held

        log = open_log()
        with ThreadPoolExecutor(WRITERS) as controllers:
            claims = list(controllers.map(claim, range(WRITERS)))

        last = max(claims, key=lambda each: each.epoch)
        assert len({each.epoch for each in claims}) == WRITERS
        assert log.claimed("job") == last
        assert newest(log, Topic.ASSIGNMENTS)["job/a-0"].value == b"%d" % last.epoch
