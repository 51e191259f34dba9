"""The verifier, tried on real jobs that break one promise on purpose: one message each, and each is caught."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from streamer import clock
from streamer.testing.shapes import passes
from streamer.testing.verify.checker import Verdict
from streamer.testing.verify.proxy import ProxiedLinks
from streamer.testing.verify.schedule import Schedule
from streamer.testing.verify.shapes import Actor, Counting, Shape
from streamer.testing.verify.trial import Bench, Limits, Trial

DOCTORED = Path(__file__).parent / "doctored.py"
RECORDS = 200
RATE_PER_S = 400.0
PATIENCE_S = 60.0
KEPT = Verdict(0, "doctored", messages=RECORDS)


def shape(deed: str) -> Shape:
    return Shape(
        "doctored",
        ("s >> n >> out",),
        {"n": Actor(DOCTORED, passes("n"), stateful=True, inputs=(deed,))},
        ordered=frozenset({"out"}),
        counting=Counting.MEMORY,
    )


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    links = ProxiedLinks()
    yield Bench(tmp_path_factory.mktemp("bench"), links, own_disks=False, tell=lambda _text: None)
    links.close()


def verdict_on(deed: str, bench: Bench) -> Verdict:
    folder = bench.folder / deed
    folder.mkdir()
    ends_at = clock.now() + PATIENCE_S
    trial = Trial(shape(deed), Schedule((), RATE_PER_S, {"s": RECORDS}), bench, folder, Limits(0, ends_at, ends_at))
    return trial.run(Verdict(0, "doctored"))


def test_a_job_that_keeps_every_promise_is_told_to(bench: Bench) -> None:
    assert verdict_on("nothing", bench) == KEPT


@pytest.mark.parametrize(
    ("deed", "found"),
    [
        pytest.param("lose", replace(KEPT, lost=1), id="loses one"),
        pytest.param("double", replace(KEPT, duplicates=1, duplicates_unexplained=1), id="doubles one"),
        pytest.param("reorder", replace(KEPT, order_violations=1), id="reorders one"),
        pytest.param("miscount", replace(KEPT, wrong_counts=1), id="miscounts one"),
    ],
)
def test_a_pipeline_that_harms_one_message_on_purpose_is_caught(deed: str, found: Verdict, bench: Bench) -> None:
    verdict = verdict_on(deed, bench)

    assert verdict == found
    assert not verdict.kept
