"""A cluster on three brokers, whose controllers and brokers are killed, paused and stopped: jobs go on, to the message.

What is done at the worst moment (a submission, a scale, a change of flows) is done once, by whoever leads next.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.machines import PARSE, Machines, Part
from tests.conftest import Tell
from tests.kafka.broker import started
from tests.kafka.cluster import Cluster, free_ports

_TAKEN_OVER_S = 20.0
"""A session of 6 s, and what Faust takes to share out the partitions and to read its tables again."""
_BROKERS_AWAY_S = float(os.environ.get("BROKERS_AWAY_S", "10"))


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    # with clients that ask them all the time, brokers that give way to every test lose their sessions of two seconds
    three = started(Cluster(tmp_path_factory.mktemp("brokers") / "cluster", free_ports(3)), niceness=0)
    yield three
    three.kill()


@pytest.fixture
def machines(tmp_path: Path, brokers: Cluster) -> Iterator[Machines]:
    made = Machines(tmp_path, brokers.bootstrap)
    yield made
    made.close()


def _leader(controllers: list[Part], job: str) -> Part:
    """Who said last that it leads the job."""
    leading = [part for part in controllers if _leads(part, job)]
    assert leading, "\n".join(part.said() for part in controllers)
    return leading[-1]


def _leads(part: Part, job: str) -> bool:
    lines = [line for line in part.said().splitlines() if f"leads job {job}" in line]
    return bool(lines) and "no more" not in lines[-1] and part.process.poll() is None


def _whole(account: dict[str, object], lines: int) -> None:
    """Nothing lost: every message that was sent has been written, and none was given up."""
    edges = account["edges"]
    assert isinstance(edges, list)
    into_sink = sum(edge["sent"] - edge["abandoned"] for edge in edges if edge["target"] == "save")
    assert lines >= into_sink, (account, lines)


def test_another_controller_carries_on_with_what_the_killed_and_the_paused_one_had_begun(
    machines: Machines, tell: Tell
) -> None:
    machines.agent("a1")
    controllers = [machines.controller("c1"), machines.controller("c2")]
    job = machines.submit("words")
    before = machines.pids(job)
    flowing = machines.lines("words")
    took = {}

    def carried_on(what: str, act: Part, leader: Part) -> None:
        at = time.monotonic()
        assert act.process.wait(90) == 0, f"{what}:\n{machines.told()}"
        took[what] = time.monotonic() - at
        assert took[what] < _TAKEN_OVER_S, f"{what}: {took}"
        assert leader.name

    leader = _leader(controllers, job)
    act = machines.start("scale", "scale", job, "parse", 3)
    leader.kill()
    carried_on("scale", act, leader)
    controllers.remove(leader)
    controllers.append(machines.controller("c3"))

    leader = _leader(controllers, job)
    act = machines.start("flows", "flows", "set", job, "direct=lines >> save", "--default", "direct")
    leader.signal(signal.SIGSTOP)  # for longer than its session
    carried_on("flows", act, leader)
    leader.signal(signal.SIGCONT)
    leader.until(f"leads job {job} no more")

    act = machines.start("submit", "submit", machines.pipeline("second"), "--json")
    _leader(controllers, job).kill()
    carried_on("submit", act, leader)

    second = json.loads(act.said().splitlines()[-1])["job"]
    assert sorted(row["job"] for row in json.loads(machines.ok("ps", "--json"))) == sorted([job, second])
    assert all(one["starts"] == 1 for one in machines.status(second)["instances"]), "it was started once"
    after = machines.pids(job)
    assert {name: pid for name, pid in after.items() if name in before} == before, "the job has not noticed"
    assert len(after) == 5
    assert machines.lines("words") > flowing
    for name, one in (("words", job), ("second", second)):
        _whole(machines.stopped(one), machines.lines(name))
    tell(", ".join(f"{what} after {seconds:.1f} s" for what, seconds in took.items()))


def test_another_controller_carries_on_with_an_update(machines: Machines, tell: Tell) -> None:
    machines.agent("a1")
    controllers = [machines.controller("c1"), machines.controller("c2")]
    job = machines.submit("renewed")
    before = machines.pids(job)
    (machines.folder / "parse.py").write_text(PARSE.replace("]\n", "] | {'version': 2}\n"))
    update = machines.start("update", "update", job, machines.folder / "renewed.yaml", "--json")
    update.until("renewing instances, 1 of 2")
    _leader(controllers, job).kill()
    at = time.monotonic()

    assert update.process.wait(90) == 0, machines.told()
    document = json.loads(update.said().splitlines()[-1])
    took = time.monotonic() - at
    assert document == {"job": job, "result": "updated", "generation": 2, "error": ""}
    status = machines.status(job)["instances"]
    assert {one["instance"]: one["generation"] for one in status if one["node"] == "parse"} == dict.fromkeys(
        ("parse-0", "parse-1"), 2
    )
    after = machines.pids(job)
    assert {name for name, pid in before.items() if after[name] == pid} == {"lines-0", "save-0"}
    written = machines.folder / "renewed.jsonl"
    machines.until(lambda: b"version" in written.read_bytes())
    _whole(machines.stopped(job), machines.lines("renewed"))
    tell(f"the update was done {took:.1f} s after the death of its controller")


def test_jobs_go_on_without_brokers_and_controllers_and_catch_up(
    machines: Machines, brokers: Cluster, tell: Tell
) -> None:
    """All brokers are stopped while an instance is killed; then one of three is, which is nobody's business."""
    machines.agent("a1")
    machines.controller("c1")
    job = machines.submit("words")
    brokers.kill()
    before = machines.pids(job)
    at_first = machines.lines("words")
    os.killpg(before["parse-0"], signal.SIGKILL)
    deadline = time.monotonic() + _BROKERS_AWAY_S
    while time.monotonic() < deadline:
        at = machines.lines("words")
        machines.until(lambda at=at: machines.lines("words") > at)  # type: ignore[misc]  # it goes on all the time
    machines.until(lambda: machines.pids(job).get("parse-0", before["parse-0"]) != before["parse-0"])
    meanwhile = machines.lines("words") - at_first
    brokers.resume()

    machines.ok("scale", job, "parse", 3)
    status = {one["instance"]: one["starts"] for one in machines.status(job)["instances"]}
    assert status == {"lines-0": 1, "parse-0": 2, "parse-1": 1, "parse-2": 1, "save-0": 1}
    brokers.kill_one(0)
    machines.ok("scale", job, "parse", 2)
    brokers.resume_one(0)
    account = machines.stopped(job)
    _whole(account, machines.lines("words"))
    tell(f"{meanwhile} messages without a broker, {machines.lines('words')} in all, 0 lost")


def test_a_controller_ends_when_it_is_told_to_though_nobody_answers(machines: Machines, brokers: Cluster) -> None:
    controller = machines.controller("c1")
    brokers.kill()

    controller.signal(signal.SIGTERM)
    assert controller.process.wait(_TAKEN_OVER_S) == 0, controller.said()

    brokers.resume()
