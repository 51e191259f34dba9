"""The verifier, tried on real jobs that break one promise on purpose: one message each, and each is caught."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from streamer import clock
from streamer.testing.shapes import passes
from streamer.testing.verify.checker import Verdict
from streamer.testing.verify.proxy import ProxiedLinks
from streamer.testing.verify.schedule import Fault, Kind, Schedule
from streamer.testing.verify.shapes import SHAPES, Actor, Counting, Shape
from streamer.testing.verify.trial import Bench, Limits, Trial

DOCTORED = Path(__file__).parent / "doctored.py"
KEYED = Path(__file__).parent / "doctored_keys.py"
LOSING = Path(__file__).parent / "doctored_relay.py"
RECORDS = 200
RATE_PER_S = 400.0
PATIENCE_S = 60.0
KEPT = Verdict(0, "doctored", messages=RECORDS)


def alone(deed: str) -> Shape:
    return Shape(
        "doctored",
        ("s >> n >> out",),
        {"n": Actor(DOCTORED, passes("n"), stateful=True, inputs=(deed,), counting=Counting.MEMORY)},
        ordered=frozenset({"out"}),
    )


def partitioned(deed: str) -> Shape:
    """Its counts are exact and in order, whatever happens to it."""
    node = Actor(
        KEYED,
        passes("n"),
        stateful=True,
        replicas=2,
        replicas_max=2,
        inputs=(deed,),
        keyed=True,
        counting=Counting.CHECKPOINTED,
    )
    return Shape("doctored", ("s >> n >> out",), {"n": node}, keys=5, keys_ordered=True)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    links = ProxiedLinks()
    yield Bench(tmp_path_factory.mktemp("bench"), links, own_disks=False, tell=lambda _text: None)
    links.close()


def verdict_on(shape: Shape, bench: Bench, *faults: Fault, rate_per_s: float = RATE_PER_S) -> Verdict:
    folder = Path(tempfile.mkdtemp(dir=bench.folder))
    ends_at = clock.now() + PATIENCE_S
    schedule = Schedule(faults, rate_per_s, {"s": RECORDS})
    trial = Trial(shape, schedule, bench, folder, Limits(len(faults), ends_at, ends_at))
    return trial.run(Verdict(0, "doctored"))


@pytest.mark.parametrize(
    "shape", [pytest.param(alone("nothing"), id="alone"), pytest.param(partitioned("nothing"), id="partitioned")]
)
def test_a_job_that_keeps_every_promise_is_told_to(shape: Shape, bench: Bench) -> None:
    assert verdict_on(shape, bench) == KEPT


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        pytest.param(alone("lose"), replace(KEPT, lost=1), id="loses one"),
        pytest.param(alone("double"), replace(KEPT, duplicates=1, duplicates_unexplained=1), id="doubles one"),
        pytest.param(alone("reorder"), replace(KEPT, order_violations=1), id="reorders one"),
        pytest.param(alone("miscount"), replace(KEPT, wrong_counts=1), id="miscounts one"),
        pytest.param(partitioned("miscount"), replace(KEPT, wrong_counts=1), id="miscounts one in keyed state"),
        pytest.param(partitioned("swap"), replace(KEPT, order_violations=1), id="counts two of a key in another order"),
    ],
)
def test_a_pipeline_that_harms_one_message_on_purpose_is_caught(shape: Shape, found: Verdict, bench: Bench) -> None:
    verdict = verdict_on(shape, bench)

    assert verdict == found
    assert not verdict.kept


def test_a_branch_that_loses_one_message_is_caught_though_the_flows_change(bench: Bench) -> None:
    fan = SHAPES["fan"]
    losing = replace(fan, actors={**fan.actors, "c": replace(fan.actors["c"], code=LOSING)})

    verdict = verdict_on(losing, bench, Fault(0.3, Kind.FLOWS, "", 0), rate_per_s=100.0)

    assert verdict == replace(KEPT, lost=1, faults={Kind.FLOWS: 1})
