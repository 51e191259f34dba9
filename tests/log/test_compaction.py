"""What goes in a compaction, and above all what stays."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer import limits
from streamer.log.base import claim_key, newest
from streamer.log.compaction import Stub, removable
from streamer.log.memory import MemoryLog, MemoryStore
from streamer.log.sqlite import SqliteLog
from streamer.log.topics import Policy, Topic

_STATE = Policy()
_HISTORY = Policy(kept_s=100.0)
_DAY_S = limits.CONTROL_LOG_TOMBSTONE_S

_WRITES = st.lists(
    st.tuples(st.sampled_from(["a", "a/0", "a/1", "b", "b/0"]), st.booleans(), st.floats(0, 3 * _DAY_S)), max_size=30
)


def _state(stubs: list[Stub]) -> dict[str, int]:
    """Key to the offset that is in force."""
    table = {stub.key: stub for stub in stubs}
    return {key: stub.offset for key, stub in table.items() if not stub.deletes}


@given(_WRITES, st.floats(0, 4 * _DAY_S))
def test_the_state_of_every_key_stays(writes: list[tuple[str, bool, float]], now: float) -> None:
    stubs = [Stub(at, key, deletes, written_at) for at, (key, deletes, written_at) in enumerate(writes)]

    gone = set(removable(stubs, _STATE, now))
    left = [stub for stub in stubs if stub.offset not in gone]

    assert _state(left) == _state(stubs)
    assert len({stub.key for stub in left}) == len(left)
    assert removable(left, _STATE, now) == []


def test_a_deletion_stays_until_those_who_were_away_have_read_it() -> None:
    stubs = [Stub(1, "job", False, 0.0), Stub(2, "job", True, 0.0)]

    assert removable(stubs, _STATE, _DAY_S) == [1]
    assert removable(stubs, _STATE, _DAY_S + 1) == [1, 2]


def test_a_claim_stays_as_long_as_its_job_has_records() -> None:
    stubs = [Stub(1, claim_key("job"), False, 0.0), Stub(2, claim_key("job"), False, 0.0), Stub(3, "job/a", False, 0.0)]

    assert removable(stubs, _STATE, 10 * _DAY_S) == [1]
    assert removable([*stubs, Stub(4, "job/a", True, 0.0)], _STATE, 10 * _DAY_S) == [1, 2, 3, 4]


def test_a_claim_of_a_job_that_has_no_records_yet_stays() -> None:
    assert removable([Stub(1, claim_key("job"), False, 0.0)], _STATE, 1.0) == []


def test_what_happened_stays_for_its_time_whatever_its_key() -> None:
    stubs = [Stub(1, "job", False, 0.0), Stub(2, "job", False, 50.0), Stub(3, "job", True, 60.0)]

    assert removable(stubs, _HISTORY, 100.0) == []
    assert removable(stubs, _HISTORY, 120.0) == [1]


def test_of_a_flood_only_the_newest_records_stay() -> None:
    stubs = [Stub(n, "job", False, 0.0) for n in range(limits.CONTROL_LOG_KEPT_RECORDS_MAX + 3)]

    assert removable(stubs, _HISTORY, 1.0) == [0, 1, 2]


class _Hands:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


Opened = Callable[[_Hands], AbstractContextManager[MemoryLog | SqliteLog]]


@pytest.fixture(params=["memory", "sqlite"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    if request.param == "memory":
        return lambda hands: closing(MemoryLog(MemoryStore(), wall=hands))
    return lambda hands: closing(SqliteLog(tmp_path, wall=hands))


def test_a_log_keeps_of_each_topic_what_its_policy_says(opened: Opened) -> None:
    hands = _Hands()
    with opened(hands) as log:
        claim = log.claim("job", "me")
        for n in range(1500):  # more than goes at once
            log.append(Topic.JOBS, "job", b"%d" % n, claim=claim)
            log.append(Topic.REPORTS, "job", b"%d" % n)
        log.append(Topic.COMMANDS, "job", b"kept")
        hands.time += limits.CONTROL_LOG_REPORTS_KEPT_S + 1
        log.append(Topic.REPORTS, "job", b"new")

        assert log.compact() == 1499 + 1500

        assert [record.value for record in log.read(Topic.REPORTS).records] == [b"new"]
        assert [record.value for record in log.read(Topic.COMMANDS).records] == [b"kept"]
        assert [record.is_claim for record in log.read(Topic.JOBS).records] == [True, False]
        assert log.compact() == 0


def test_a_job_that_was_deleted_leaves_nothing_in_the_log_in_the_end(opened: Opened) -> None:
    hands = _Hands()
    with opened(hands) as log:
        claim = log.claim("job", "me")
        for topic in (Topic.JOBS, Topic.ASSIGNMENTS):
            log.append(topic, "job/a-0", b"1", claim=claim)
            log.append(topic, "job/a-0", None, claim=claim)
        hands.time += _DAY_S + 1

        log.compact()

        assert log.claimed("job") is None
        assert [log.read(topic).records for topic in Topic] == [()] * len(Topic)
        assert log.claim("job", "me again").epoch > claim.epoch


def test_what_a_lost_claim_wrote_removes_nothing(opened: Opened) -> None:
    """It is the newest of its key for a broker that knows nothing of claims, and must not be for us."""
    with opened(_Hands()) as log:
        lost = log.claim("job", "paused")
        log.append(Topic.JOBS, "job", b"state", claim=lost)
        log.claim("job", "successor")
        if isinstance(log, MemoryLog):  # the other one refuses it
            log.append(Topic.JOBS, "job", b"too late", claim=lost)

        log.compact()

        assert newest(log, Topic.JOBS)["job"].value == b"state"
