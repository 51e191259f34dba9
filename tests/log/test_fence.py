"""After a claim was read, nothing of an older one counts, in whatever order a broker took the records."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamer.log.base import Record, claim_key
from streamer.log.fence import Fence
from streamer.log.topics import Topic

# Scope, epoch and whether it is a claim: two jobs, and controllers that write whenever they like.
_WRITES = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 4), st.booleans()), max_size=40)


def _record(offset: int, scope: str, epoch: int | None, *, is_claim: bool = False, topic: Topic = Topic.JOBS) -> Record:
    return Record(topic, 0, offset, claim_key(scope) if is_claim else scope, b"", epoch, 0.0)


@given(_WRITES)
def test_epochs_of_a_scope_never_go_back(writes: list[tuple[str, int, bool]]) -> None:
    fence = Fence()
    records = [_record(at, scope, epoch, is_claim=claim) for at, (scope, epoch, claim) in enumerate(writes)]

    admitted = [record for record in records if fence.admits(record)]

    for scope in ("a", "b"):
        epochs = [record.epoch for record in admitted if record.scope == scope]
        assert epochs == sorted(epoch for epoch in epochs if epoch is not None)


@given(_WRITES)
def test_nothing_of_the_newest_claim_is_lost(writes: list[tuple[str, int, bool]]) -> None:
    fence = Fence()
    records = [_record(at, scope, epoch, is_claim=claim) for at, (scope, epoch, claim) in enumerate(writes)]
    newest = {scope: max((epoch for of, epoch, _ in writes if of == scope), default=0) for scope in ("a", "b")}

    admitted = {record.offset for record in records if fence.admits(record)}

    assert {record.offset for record in records if record.epoch == newest[record.scope]} <= admitted


def test_a_record_without_an_epoch_does_not_count_in_a_claimed_topic() -> None:
    assert not Fence().admits(_record(0, "job", None))


def test_everyone_s_records_count_in_the_other_topics() -> None:
    fence = Fence()
    fence.admits(_record(0, "job", 7, is_claim=True))

    assert fence.admits(_record(1, "job", None, topic=Topic.COMMANDS))
