"""What others see of a job: the snapshot, and the account in the form that scripts rely on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streamer.control.jobs import JobSnapshot, JobStatus, account, snapshot
from streamer.metrics.samples import InstanceState
from streamer.protocol.account import DROP_REASONS, EdgeCounts, InstanceAccount
from tests.control.plans import LINE
from tests.control.stage import Stage


def seen(stage: Stage) -> JobSnapshot:
    return snapshot(stage.state, stage.now, started_at=7.0, control="tcp://c", folder=Path("f"), refused=1)


def test_a_snapshot_has_phases_of_all_instances_and_samples_of_those_that_reported() -> None:
    stage = Stage(LINE)
    stage.says("lines-0")
    stage.dies("parse-0")
    stage.later(2.5)
    job = seen(stage)
    assert (job.job, job.pipeline, job.status, job.elapsed_s) == ("job", "words", JobStatus.STARTING, 2.5)
    assert job.instances == {
        "lines-0": "running",
        "parse-0": "starting",
        "parse-1": "starting",
        "save-0": "starting",
    }
    assert job.restarts == {"lines": 0, "parse": 1, "save": 0}
    assert set(job.samples) == {"lines-0"}


def test_a_job_that_drains_is_stopping_and_has_not_ended() -> None:
    stage = Stage(LINE)
    stage.drain()
    assert seen(stage).status is JobStatus.STOPPING
    assert not seen(stage).status.ended


def test_the_account_sums_the_instances_of_a_node_and_has_every_edge_and_node() -> None:
    stage = Stage(LINE)
    drops = [0] * len(DROP_REASONS)
    drops[DROP_REASONS.index("drop-oldest")] = 2
    pages = {
        "parse-0": InstanceAccount(
            received=10,
            failed=1,
            edges=[EdgeCounts("save", sent=9, settled=5, abandoned=3, in_flight=1, redelivered=2)],
        ),
        "parse-1": InstanceAccount(
            received=5, failed=0, edges=[EdgeCounts("save", sent=5, settled=2, dead_lettered=1, drops=drops)]
        ),
    }
    job = account(stage.state, stage.now, pages)
    first, second = job.edges
    assert (first.source, first.target, first.sent) == ("lines", "parse", 0)
    assert (second.source, second.target, second.sent, second.settled) == ("parse", "save", 14, 7)
    assert (second.dead_lettered, second.dropped, second.abandoned) == (1, {"drop-oldest": 2}, 3)
    assert (second.in_flight, second.redelivered) == (1, 2)
    assert job.balanced
    assert [(node.node, node.instances, node.received, node.failed) for node in job.nodes] == [
        ("lines", 1, 0, 0),
        ("parse", 2, 15, 1),
        ("save", 1, 0, 0),
    ]


def test_an_account_in_which_a_message_is_missing_is_not_balanced() -> None:
    stage = Stage(LINE)
    job = account(stage.state, stage.now, {"lines-0": InstanceAccount(edges=[EdgeCounts("parse", sent=3, settled=2)])})
    assert not job.balanced


@pytest.mark.parametrize(("drained", "status"), [(False, "completed"), (True, "stopped")])
def test_the_json_form_is_a_contract(drained: bool, status: str) -> None:
    stage = Stage(LINE)
    stage.all_say(InstanceState.RUNNING)
    if drained:
        stage.drain()
    stage.now += 1.23456
    for instance in stage.phases():
        stage.completes(instance)
    text = account(
        stage.state, stage.now + 50.0, {"lines-0": InstanceAccount(edges=[EdgeCounts("parse", sent=1, settled=1)])}
    ).to_json()
    assert "\n" not in text
    assert json.loads(text) == {
        "job": "job",
        "pipeline": "words",
        "status": status,
        "duration_s": 1.235,
        "edges": [
            {
                "source": "lines", "target": "parse", "sent": 1, "settled": 1, "dead_lettered": 0, "dropped": {},
                "abandoned": 0, "in_flight": 0, "redelivered": 0,
            },
            {
                "source": "parse", "target": "save", "sent": 0, "settled": 0, "dead_lettered": 0, "dropped": {},
                "abandoned": 0, "in_flight": 0, "redelivered": 0,
            },
        ],
        "nodes": [
            {"node": "lines", "instances": 1, "restarts": 0, "received": 0, "failed": 0},
            {"node": "parse", "instances": 2, "restarts": 0, "received": 0, "failed": 0},
            {"node": "save", "instances": 1, "restarts": 0, "received": 0, "failed": 0},
        ],
    }  # fmt: skip
    assert list(json.loads(text)) == ["job", "pipeline", "status", "duration_s", "edges", "nodes"]
