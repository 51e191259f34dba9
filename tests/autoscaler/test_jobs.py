"""A job as one pass sees it: what its plan asks of the platform, and what of the platform is left."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from autoscaler.collect.base import Reading
from autoscaler.collect.jobs import snapshot_of
from autoscaler.settings import DEFAULT
from autoscaler.snapshot import NodeView, Snapshot
from streamer.control.jobs import JobSnapshot, JobStatus
from streamer.descriptor.resources import Needs, parse_capacity
from tests.control.plans import LINE


def seen(needs: Needs, capacity: str, *, args: dict[str, object] | None = None) -> tuple[NodeView, Snapshot]:
    """A job of which two instances of `parse` need this, on a platform that has that."""
    parse = dataclasses.replace(LINE.nodes["parse"], needs=needs, args=args or {})
    job = JobSnapshot(
        job="job", pipeline="words", status=JobStatus.RUNNING, started_at=0.0, elapsed_s=0.0, samples={},
        instances={"parse-0": "running", "parse-1": "starting"}, restarts={}, error=None, killed=False, control="",
        folder=Path(), refused=0, plan=dataclasses.replace(LINE, nodes={**LINE.nodes, "parse": parse}), ages_s={},
    )  # fmt: skip
    found = snapshot_of([job], Reading(), parse_capacity(capacity), 0.0, DEFAULT)
    return next(node for node in found.jobs[0].nodes if node.name == "parse"), found


def test_accelerators_of_a_kind_are_taken_from_that_kind() -> None:
    parse, found = seen(Needs(gpu=1.0, kinds={"h100": 1.0}), "gpu:h100=3,gpu:l4=8")

    assert (parse.resources.gpu, parse.resources.gpu_kind) == (1.0, "h100")
    assert {one.accelerator for one in parse.instances} == {"h100"}
    assert found.platform.capacity.gpu == {"h100": 3.0, "l4": 8.0}
    assert found.platform.free.gpu == {"h100": 1.0, "l4": 8.0}


def test_who_may_have_any_is_taken_to_have_those_of_which_there_are_most() -> None:
    _, found = seen(Needs(gpu=1.0), "gpu:h100=3,gpu:l4=8")

    assert found.platform.free.gpu == {"h100": 3.0, "l4": 6.0}


def test_a_platform_that_does_not_say_which_it_has_counts_them_together() -> None:
    _, found = seen(Needs(gpu=1.0, kinds={"h100": 1.0}), "gpu=3")

    assert (found.platform.capacity.gpu, found.platform.free.gpu) == ({"": 3.0}, {"": 1.0})


def test_a_platform_that_says_nothing_of_accelerators_does_not_limit_them() -> None:
    assert seen(Needs(gpu=1.0), "cpu=4")[1].platform.free.gpu is None


def test_a_node_is_served_by_the_priority_of_its_pipeline() -> None:
    assert seen(Needs(), "", args={"priority": 5})[0].priority == 5
