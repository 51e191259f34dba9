"""What every control log must do, as tests that a log's own test class inherits.

A controller is tried on a log in memory and goes to work on another, so all logs answer these tests alike. A class that
inherits `LogContract`, and `ClaimContract` beside it, gives a fixture `open_log`: each call opens one and the same log
once more, in the thread that calls it, empty at the beginning of a test. Only what the port promises is asked, so a log
may be stronger than this.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import pairwise

from streamer.errors import LogError, StreamerError
from streamer.limits import (
    CONTROL_LOG_APPEND_RECORDS_MAX,
    CONTROL_LOG_KEY_CHARS_MAX,
    CONTROL_LOG_READ_BYTES,
    CONTROL_LOG_VALUE_BYTES_MAX,
)
from streamer.log.base import BEGINNING, ControlLog, Entry, Position, Record, newest
from streamer.log.topics import Topic

OpenLog = Callable[[], ControlLog]

PATIENCE_S = 30.0
WRITERS = 8


def values(records: Iterable[Record]) -> list[bytes | None]:
    return [record.value for record in records]


def refused(call: Callable[[], object], error: type[StreamerError], words: str) -> None:
    try:
        call()
    except error as refusal:
        assert words in str(refusal), refusal
    else:
        raise AssertionError(f"not refused: {words}")


def polled(poll: Callable[[float], tuple[Record, ...]], count: int) -> list[Record]:
    found: list[Record] = []
    while len(found) < count:
        records = poll(PATIENCE_S)
        assert records, f"nothing more came after {len(found)}"
        found += records
    return found


class _Appending:
    def test_what_was_appended_is_read_in_its_order(self, open_log: OpenLog) -> None:
        log = open_log()

        offsets = [log.append(Topic.COMMANDS, "job", b"%d" % n) for n in range(5)]

        records = log.read(Topic.COMMANDS).records
        assert values(records) == [b"0", b"1", b"2", b"3", b"4"]
        assert [record.offset for record in records] == offsets
        assert {(r.topic, r.key, r.scope, r.epoch, r.is_claim) for r in records} == {
            (Topic.COMMANDS, "job", "job", None, False)
        }

    def test_all_parts_of_a_scope_are_in_one_order(self, open_log: OpenLog) -> None:
        log = open_log()
        keys = ["job/a-0", "job", "job/b-0", "job/a-0"]

        offsets = [log.append(Topic.REPORTS, key, b"") for key in keys]

        records = log.read(Topic.REPORTS).records
        assert [record.key for record in records] == keys
        assert len({record.partition for record in records}) == 1
        assert all(a < b for a, b in pairwise(offsets))

    def test_several_records_are_appended_in_their_order(self, open_log: OpenLog) -> None:
        log = open_log()
        entries = [
            Entry(Topic.COMMANDS, "job", b"1"),
            Entry(Topic.REPORTS, "job", b"2"),
            Entry(Topic.COMMANDS, "job", b"3"),
        ]

        offsets = log.append_all(entries)

        commands = log.read(Topic.COMMANDS).records
        assert values(commands) == [b"1", b"3"]
        assert [record.offset for record in commands] == [offsets[0], offsets[2]]
        assert values(log.read(Topic.REPORTS).records) == [b"2"]

    def test_appending_nothing_changes_nothing(self, open_log: OpenLog) -> None:
        log = open_log()

        assert log.append_all([]) == ()
        assert log.end(list(Topic)) == log.end(list(Topic))

    def test_any_bytes_come_back_as_they_were(self, open_log: OpenLog) -> None:
        log = open_log()
        written = [b"", bytes(range(256)), b"\0" * 1000, "größer".encode(), b"x" * CONTROL_LOG_VALUE_BYTES_MAX]

        for value in written:
            log.append(Topic.DESCRIPTORS, "größe", value)

        assert values(log.read(Topic.DESCRIPTORS).records) == written

    def test_a_value_over_the_limit_is_refused_and_nothing_of_its_append_stays(self, open_log: OpenLog) -> None:
        log = open_log()
        large = Entry(Topic.COMMANDS, "job", b"x" * (CONTROL_LOG_VALUE_BYTES_MAX + 1))

        refused(lambda: log.append_all([Entry(Topic.COMMANDS, "job", b""), large]), LogError, "at most 8192 KiB")

        assert log.read(Topic.COMMANDS).records == ()

    def test_an_append_of_too_many_records_isrefused(self, open_log: OpenLog) -> None:
        log = open_log()
        entries = [Entry(Topic.COMMANDS, "job", b"")] * (CONTROL_LOG_APPEND_RECORDS_MAX + 1)

        refused(lambda: log.append_all(entries), LogError, "at most 10000")

    def test_a_key_that_is_none_isrefused(self, open_log: OpenLog) -> None:
        log = open_log()

        for key in ("", "/", "job/", "/part", "job/@claim", "job/@", "a\nb", "a\0b"):
            refused(lambda key=key: log.append(Topic.COMMANDS, key, b""), LogError, "no key")  # type: ignore[misc]  # bound now
        refused(lambda: log.append(Topic.COMMANDS, "j" * (CONTROL_LOG_KEY_CHARS_MAX + 1), b""), LogError, "at most 512")
        refused(lambda: log.claim("job/part", "me"), LogError, "no scope")

    def test_many_writers_at_once_lose_nothing_and_keep_their_order(self, open_log: OpenLog) -> None:
        each = 50

        def write(writer: int) -> list[int]:
            with closing(open_log()) as log:
                return [log.append(Topic.REPORTS, f"job{writer % 3}/w{writer}", b"%d" % n) for n in range(each)]

        log = open_log()
        with ThreadPoolExecutor(WRITERS) as writers:
            offsets = list(writers.map(write, range(WRITERS)))

        records = log.read(Topic.REPORTS).records
        assert len({(record.partition, record.offset) for record in records}) == len(records) == WRITERS * each
        for writer in range(WRITERS):
            of_writer = [record for record in records if record.key.endswith(f"/w{writer}")]
            assert values(of_writer) == [b"%d" % n for n in range(each)]
            assert [record.offset for record in of_writer] == offsets[writer]


class _Reading:
    def test_an_empty_log_reads_as_empty(self, open_log: OpenLog) -> None:
        log = open_log()

        for topic in Topic:
            assert log.read(topic).records == ()
            assert log.read(topic).position == BEGINNING

    def test_reading_goes_on_from_a_position(self, open_log: OpenLog) -> None:
        log = open_log()
        for n in range(4):
            log.append(Topic.COMMANDS, f"job{n}", b"old")
        position = log.read(Topic.COMMANDS).position
        log.append(Topic.COMMANDS, "job1", b"new")

        batch = log.read(Topic.COMMANDS, position)

        assert values(batch.records) == [b"new"]
        assert log.read(Topic.COMMANDS, batch.position).records == ()

    def test_reading_in_small_batches_gives_everything_once(self, open_log: OpenLog) -> None:
        log = open_log()
        written = {(f"job{n % 5}", b"%d" % n) for n in range(23)}
        for key, value in sorted(written):
            log.append(Topic.COMMANDS, key, value)

        found: list[tuple[str, bytes | None]] = []
        batch = log.read(Topic.COMMANDS, limit=4)
        while batch.records:
            assert len(batch.records) <= 4
            found += [(record.key, record.value) for record in batch.records]
            batch = log.read(Topic.COMMANDS, batch.position, limit=4)

        assert len(found) == len(written)
        assert set(found) == written

    def test_a_batch_of_large_records_closes_before_its_limit(self, open_log: OpenLog) -> None:
        log = open_log()
        large = b"x" * CONTROL_LOG_VALUE_BYTES_MAX
        for _ in range(3):
            log.append(Topic.REPORTS, "job", large)

        batch = log.read(Topic.REPORTS)

        assert sum(map(len, filter(None, values(batch.records)))) <= CONTROL_LOG_READ_BYTES
        assert len(batch.records) + len(log.read(Topic.REPORTS, batch.position).records) == 3

    def test_a_position_is_json(self, open_log: OpenLog) -> None:
        log = open_log()
        log.append(Topic.COMMANDS, "job", b"old")
        kept = json.dumps(log.read(Topic.COMMANDS).position.offsets)
        log.append(Topic.COMMANDS, "job", b"new")

        assert values(log.read(Topic.COMMANDS, Position(json.loads(kept))).records) == [b"new"]

    def test_reading_a_scope_leaves_all_others_out(self, open_log: OpenLog) -> None:
        log = open_log()
        for key in ("job1", "job10", "job", "job1/a-0", "job1a"):
            log.append(Topic.REPORTS, key, key.encode())

        first = log.read(Topic.REPORTS, scope="job1", limit=1)

        assert values(first.records) == [b"job1"]
        assert values(log.read(Topic.REPORTS, first.position, scope="job1").records) == [b"job1/a-0"]
        assert log.read(Topic.REPORTS, scope="nowhere").records == ()

    def test_topics_know_nothing_of_each_other(self, open_log: OpenLog) -> None:
        log = open_log()
        log.append(Topic.COMMANDS, "job", b"stop")

        assert log.read(Topic.REPORTS).records == ()

    def test_what_one_has_appended_another_reads(self, open_log: OpenLog) -> None:
        one, another = open_log(), open_log()
        one.append(Topic.COMMANDS, "job", b"from one")
        assert values(another.read(Topic.COMMANDS).records) == [b"from one"]
        another.append(Topic.COMMANDS, "job", b"from another")

        assert values(one.read(Topic.COMMANDS).records) == [b"from one", b"from another"]

    def test_the_end_is_behind_all_that_is_there(self, open_log: OpenLog) -> None:
        log = open_log()
        for n in range(4):
            log.append(Topic.COMMANDS, f"job{n}", b"old")
        end = log.end([Topic.COMMANDS])
        log.append(Topic.COMMANDS, "job2", b"new")

        assert values(log.read(Topic.COMMANDS, end).records) == [b"new"]

    def test_the_newest_records_are_the_state(self, open_log: OpenLog) -> None:
        log = open_log()
        for key, value in [("a", b"1"), ("b", b"1"), ("a", b"2"), ("c", b""), ("b", None), ("d", None)]:
            log.append(Topic.DESCRIPTORS, key, value)

        state = newest(log, Topic.DESCRIPTORS)

        assert {key: record.value for key, record in state.items()} == {"a": b"2", "c": b""}


class _Following:
    def test_a_follower_gives_what_is_there_and_then_what_comes(self, open_log: OpenLog) -> None:
        log = open_log()
        log.append(Topic.COMMANDS, "job", b"1")
        follower = log.follow([Topic.COMMANDS])

        assert values(follower.poll(0.0)) == [b"1"]
        assert follower.poll(0.0) == ()
        log.append(Topic.COMMANDS, "job", b"2")
        assert values(follower.poll(PATIENCE_S)) == [b"2"]
        follower.close()

    def test_a_follower_reads_several_topics_of_one_scope(self, open_log: OpenLog) -> None:
        log = open_log()
        follower = log.follow([Topic.COMMANDS, Topic.REPORTS], scope="job")
        log.append(Topic.REPORTS, "job/a-0", b"report")
        log.append(Topic.REPORTS, "other/a-0", b"report of another")
        log.append(Topic.COMMANDS, "job", b"command")
        log.append(Topic.DECISIONS, "job", b"decision")

        found = polled(follower.poll, 2)

        assert sorted(filter(None, values(found))) == [b"command", b"report"]

    def test_a_follower_from_the_end_gives_only_what_is_new(self, open_log: OpenLog) -> None:
        log = open_log()
        log.append(Topic.COMMANDS, "job", b"old")
        follower = log.follow([Topic.COMMANDS], log.end([Topic.COMMANDS]))
        log.append(Topic.COMMANDS, "job", b"new")

        assert values(follower.poll(PATIENCE_S)) == [b"new"]

    def test_a_successor_follows_from_the_position_of_the_one_before(self, open_log: OpenLog) -> None:
        log = open_log()
        for n in range(4):
            log.append(Topic.COMMANDS, f"job{n}", b"seen")
        first = log.follow([Topic.COMMANDS])
        polled(first.poll, 4)
        log.append(Topic.COMMANDS, "job0", b"unseen")

        assert values(log.follow([Topic.COMMANDS], first.position).poll(PATIENCE_S)) == [b"unseen"]

    def test_a_flood_in_one_topic_does_not_keep_another_from_its_follower(self, open_log: OpenLog) -> None:
        log = open_log()
        for _ in range(3):
            log.append_all([Entry(Topic.REPORTS, "job", b"report")] * 1000)
        log.append(Topic.COMMANDS, "job", b"stop")

        assert b"stop" in values(log.follow([Topic.REPORTS, Topic.COMMANDS]).poll(PATIENCE_S))

    def test_a_follower_that_waits_is_woken_by_another_writer(self, open_log: OpenLog) -> None:
        started = threading.Event()

        def wait() -> list[bytes | None]:
            with closing(open_log()) as log:
                follower = log.follow([Topic.COMMANDS])
                assert follower.poll(0.0) == ()
                started.set()
                return values(follower.poll(PATIENCE_S))

        with ThreadPoolExecutor(1) as waiting:
            found = waiting.submit(wait)
            assert started.wait(PATIENCE_S)
            open_log().append(Topic.COMMANDS, "job", b"wake up")

            assert found.result(PATIENCE_S) == [b"wake up"]


class _Compacting:
    def test_compaction_keeps_the_state(self, open_log: OpenLog) -> None:
        log = open_log()
        claim = log.claim("job", "me")
        for n in range(20):
            log.append(Topic.JOBS, f"job/{n % 4}", b"%d" % n, claim=claim)
            log.append(Topic.DESCRIPTORS, f"pipeline{n % 3}", b"%d" % n)
        log.append(Topic.DESCRIPTORS, "pipeline0", None)
        state = newest(log, Topic.JOBS), newest(log, Topic.DESCRIPTORS)
        assert len(state[0]) == 4

        assert log.compact() >= 0

        assert (newest(log, Topic.JOBS), newest(log, Topic.DESCRIPTORS)) == state
        assert log.claimed("job") == claim
        log.append(Topic.JOBS, "job/0", b"after", claim=claim)
        assert newest(log, Topic.JOBS)["job/0"].value == b"after"

    def test_compaction_keeps_what_happened_lately(self, open_log: OpenLog) -> None:
        log = open_log()
        for n in range(5):
            log.append(Topic.COMMANDS, "job", b"%d" % n)

        log.compact()

        assert values(log.read(Topic.COMMANDS).records) == [b"0", b"1", b"2", b"3", b"4"]

    def test_a_follower_that_is_behind_a_compaction_ends_at_the_same_state(self, open_log: OpenLog) -> None:
        log = open_log()
        log.append(Topic.DESCRIPTORS, "a", b"1")
        follower = log.follow([Topic.DESCRIPTORS])
        (seen,) = follower.poll(0.0)
        table: dict[str, bytes | None] = {seen.key: seen.value}
        for n in range(2, 6):
            log.append(Topic.DESCRIPTORS, "a", b"%d" % n)
            log.append(Topic.DESCRIPTORS, "b", b"%d" % n)
        log.append(Topic.DESCRIPTORS, "b", None)

        log.compact()

        while records := follower.poll(0.0):
            table |= {record.key: record.value for record in records}
        assert table == {"a": b"5", "b": None}

    def test_an_offset_is_never_given_twice(self, open_log: OpenLog) -> None:
        log = open_log()
        offsets = []
        for _ in range(3):
            offsets += [log.append(Topic.DESCRIPTORS, "a", b"1"), log.append(Topic.DESCRIPTORS, "a", None)]
            log.compact()

        assert all(a < b for a, b in pairwise(offsets))


class LogContract(_Appending, _Reading, _Following, _Compacting):
    """Inherit this and `ClaimContract`, and give a fixture `open_log`."""
