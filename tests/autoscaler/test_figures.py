"""What the samples of a node say together: rates over each instance's own time, jumps at once, and unknowns as such."""

from __future__ import annotations

import pytest

from autoscaler.figures import figures_of
from autoscaler.snapshot import Growth
from tests.autoscaler.jobs import instance, source, work

STALE_S = 30.0


def test_rates_add_up_each_over_its_own_time() -> None:
    young = Growth(5.0, 2, received=500.0, busy_s=5.0)
    old = Growth(15.0, 4, received=1500.0, busy_s=15.0)
    ones = (instance("a", 0, window=young, latest=young), instance("b", 0, window=old, latest=old))

    found = figures_of(work(2, 0, instances=ones), STALE_S)

    assert found.handled == pytest.approx(200.0)
    assert found.busy == pytest.approx(1.0)
    assert found.true_rates == {"": pytest.approx(100.0)}


def test_a_jump_shows_in_the_last_samples_and_noise_does_not() -> None:
    window = Growth(15.0, 4, received=1500.0)
    jumped = figures_of(source(0, instances=(instance("a", 0, window=window, latest=Growth(5.0, 2, 2000.0)),)), STALE_S)
    noisy = figures_of(source(0, instances=(instance("a", 0, window=window, latest=Growth(5.0, 2, 530.0)),)), STALE_S)

    assert (jumped.handled, jumped.handled_now) == (100.0, 400.0)
    assert noisy.handled_now == 100.0


def test_few_messages_are_never_a_jump() -> None:
    window, latest = Growth(15.0, 4, received=3.0), Growth(5.0, 2, received=3.0)

    found = figures_of(source(0, instances=(instance("a", 0, window=window, latest=latest),)), STALE_S)

    assert found.handled_now == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("latest", "true_rate"),
    [
        pytest.param(Growth(5.0, 2, received=10.0, busy_s=5.0), 2.0, id="100 times as long, of few messages"),
        pytest.param(Growth(5.0, 2, received=200.0, busy_s=0.1), 2000.0, id="a tenth as long"),
        pytest.param(Growth(5.0, 2, received=400.0, busy_s=4.8), 200.0, id="more than twice as long"),
        pytest.param(Growth(0.5, 2, received=1.0, busy_s=0.018), 200.0, id="longer by chance"),
        pytest.param(Growth(5.0, 2, received=0.0, busy_s=0.0), 200.0, id="idle"),
    ],
)
def test_messages_that_take_another_time_are_seen_at_once(latest: Growth, true_rate: float) -> None:
    window = Growth(15.0, 4, received=300.0, busy_s=1.5)
    ones = (instance("a", 0, window=window, latest=latest),)

    assert figures_of(work(1, 0, instances=ones), STALE_S).true_rates == {"": pytest.approx(true_rate)}


def test_while_a_window_holds_other_work_the_last_samples_count_though_they_hardly_differ() -> None:
    window, latest = Growth(15.0, 4, received=60.0, busy_s=12.0), Growth(5.0, 2, received=10.0, busy_s=5.0)
    ones = (instance("a", 0, window=window, latest=latest),)

    usual = figures_of(work(1, 0, instances=ones), STALE_S)
    just_changed = figures_of(work(1, 0, instances=ones), STALE_S, just_changed=True)

    assert (usual.true_rates, usual.work_changed) == ({"": 5.0}, False)
    assert just_changed.true_rates == {"": 2.0}


def test_what_is_stale_or_unknown_is_left_out_and_counted() -> None:
    ones = (
        instance("a", 100, 1.0),
        instance("b", 100, 1.0, age_s=31.0),
        instance("c", 100, 1.0, age_s=None),
        instance("d", 100, 1.0, window=None, latest=None),
    )

    found = figures_of(work(4, 0, instances=ones), STALE_S)

    assert (found.ready, found.fresh, found.missing) == (4, 1, 4.0)
    assert found.handled == pytest.approx(100.0)


def test_nothing_known_is_none_and_not_zero() -> None:
    found = figures_of(work(3, 0, instances=()), STALE_S)

    assert (found.handled, found.handled_now, found.busy, found.unread, found.age_s) == (None,) * 5
    assert found.true_rates == found.gains == {}


def test_a_source_that_does_not_count_what_it_reads_is_measured_by_what_it_sends() -> None:
    growth = Growth(10.0, 3, sent={"left": 1000.0, "right": 500.0})

    found = figures_of(source(0, instances=(instance("a", 0, window=growth, latest=growth),)), STALE_S)

    assert found.handled == pytest.approx(100.0)
    assert found.gains == {"left": pytest.approx(1.0), "right": pytest.approx(0.5)}


def test_an_idle_instance_is_not_a_slow_one() -> None:
    assert figures_of(work(1, 0), STALE_S).true_rates == {}
