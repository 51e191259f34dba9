"""Credit is told in totals, is never negative, and follows what a consumer can handle."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.limits import CREDIT_BYTES, CREDIT_MESSAGES_MAX, CREDIT_TIME_S, FRAME_MESSAGES_MAX
from streamer.protocol.credit import Grant, Pace, Window

UNBOUNDED = 1 << 62
PLENTY = 1 << 30

totals = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 100_000)), min_size=1, max_size=20)


def paced(message_s: float) -> Pace:
    pace = Pace()
    pace.handled(100, 100 * message_s)
    return pace


@given(totals, st.randoms(use_true_random=False))
def test_grants_that_are_lost_repeated_or_out_of_order_come_to_the_highest_totals(
    told: list[tuple[int, int]], chance: object
) -> None:
    grant = Grant()
    heard = [total for total in told for _ in range(2)] + [max(told)]
    chance.shuffle(heard)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    for messages, size in heard:
        grant.raise_to(messages, size)
    assert (grant.messages, grant.bytes) == (max(m for m, _ in told), max(s for _, s in told))


@given(st.lists(st.tuples(st.sampled_from(["grant", "send"]), st.integers(0, 600), st.integers(0, 9000)), max_size=60))
def test_who_sends_what_is_available_never_has_negative_credit(
    deeds: list[tuple[str, int, int]],
) -> None:
    grant = Grant()
    messages = size = 0
    for deed, count, length in deeds:
        if deed == "grant":
            messages, size = messages + count, size + length
            grant.raise_to(messages, size)
        elif (count := min(count, grant.available)) > 0:
            grant.spend(count, length)
        assert grant.available >= 0
        assert grant.sent_messages <= grant.messages


def test_any_positive_credit_of_bytes_admits_one_whole_frame() -> None:
    grant = Grant()
    grant.raise_to(10, 1)
    assert grant.available == 10
    grant.spend(1, 90_000)
    assert grant.available == 0


def test_any_positive_credit_that_is_wide_admits_one_whole_frame() -> None:
    grant = Grant()
    grant.raise_to(10_000, PLENTY, wide=True)
    grant.spend(9_999, 1)
    assert grant.available == FRAME_MESSAGES_MAX
    grant.spend(FRAME_MESSAGES_MAX, 1)
    assert grant.available == 0


def test_whether_credit_is_wide_is_what_was_said_with_the_highest_totals() -> None:
    grant = Grant()
    grant.raise_to(20, PLENTY, wide=True)
    grant.raise_to(10, PLENTY, wide=False)
    assert grant.wide
    grant.raise_to(20, PLENTY, wide=False)
    assert (grant.wide, grant.available) == (False, 20)


@pytest.mark.parametrize(("message_s", "wide"), [(1e-6, True), (CREDIT_TIME_S / FRAME_MESSAGES_MAX, False)])
def test_the_credit_of_a_fast_consumer_is_wide(message_s: float, wide: bool) -> None:
    window = Window()
    for _ in range(10):
        window.renew(paced(message_s).window(1), 1, UNBOUNDED, UNBOUNDED)
    assert window.wide is wide


def test_credit_that_is_limited_by_what_may_be_unsettled_is_not_wide() -> None:
    window = Window()
    for _ in range(10):
        window.renew(CREDIT_MESSAGES_MAX, 1, 2 * FRAME_MESSAGES_MAX, UNBOUNDED)
    assert not window.wide


def test_a_consumer_that_has_handled_nothing_asks_for_one_message() -> None:
    assert Pace().window(1) == 1


@pytest.mark.parametrize(
    ("message_s", "wanted"),
    [
        pytest.param(0.001, int(CREDIT_TIME_S / 0.001), id="1 ms"),
        pytest.param(10.0, 1, id="slow"),
        pytest.param(0.0, CREDIT_MESSAGES_MAX, id="faster than the clock"),
    ],
)
def test_a_consumer_asks_for_what_it_handles_in_a_fixed_time(message_s: float, wanted: int) -> None:
    assert paced(message_s).window(1) == pytest.approx(wanted, abs=1)


def test_the_window_of_an_instance_is_shared_over_its_producers() -> None:
    assert paced(0.0).window(4) == CREDIT_MESSAGES_MAX // 4
    assert paced(0.001).window(1000) == 1


def test_the_pace_follows_a_handler_that_becomes_slow() -> None:
    pace = paced(0.00001)
    before = pace.window(1)
    for _ in range(50):
        pace.handled(1, 0.01)
    assert pace.window(1) < before / 100


def test_the_first_grant_is_one_message_and_grows_step_by_step() -> None:
    window = Window()
    grants = []
    for _ in range(5):
        window.renew(1000, 1, UNBOUNDED, UNBOUNDED)
        grants.append(window.granted_messages - window.handled_messages)
        window.handled(grants[-1], 100)
    assert grants[0] <= 4
    assert all(later <= 4 * earlier for earlier, later in itertools.pairwise(grants))
    assert grants[-1] == 1000


def test_the_byte_budget_is_shared_over_the_producers() -> None:
    window = Window()
    window.renew(10, 4, UNBOUNDED, UNBOUNDED)
    assert window.granted_bytes == CREDIT_BYTES // 4


def test_no_grant_goes_beyond_the_limit_of_what_may_be_unsettled() -> None:
    window = Window()
    for _ in range(10):
        window.renew(1000, 1, 50, 7_000)
        window.handled(5, 10)
    assert (window.granted_messages, window.granted_bytes) == (50, 7_000)


renewals = st.lists(
    st.tuples(
        st.integers(1, 70_000), st.integers(1, 9), st.integers(0, 9000), st.integers(0, 9000), st.integers(0, 700)
    ),
    max_size=30,
)


@given(renewals)
def test_a_grant_is_never_taken_back(steps: list[tuple[int, int, int, int, int]]) -> None:
    window = Window()
    for wanted, sessions, messages_max, bytes_max, handled in steps:
        before = (window.granted_messages, window.granted_bytes)
        window.renew(wanted, sessions, messages_max, bytes_max)
        assert window.granted_messages >= before[0]
        assert window.granted_bytes >= before[1]
        window.handled(handled, 10 * handled)
        assert window.quarter >= 1


@pytest.mark.parametrize("sessions", [1, 7])
def test_an_instance_whose_calls_overlap_asks_for_its_least_however_slow_they_are(sessions: int) -> None:
    pace = Pace()
    pace.least = 40

    before = pace.window(sessions)
    pace.handled(1, 10.0)

    assert (before, pace.window(sessions)) == (40, 40)
