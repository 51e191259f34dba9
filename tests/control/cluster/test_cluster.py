"""Jobs on several machines, with real instances: what is lost with a machine or a controller, and what is not."""

from __future__ import annotations

import itertools
import os
import signal
from pathlib import Path

import pytest

from streamer import limits
from streamer.cluster_limits import (
    AGENT_GONE_S,
    AGENT_LOOK_S,
    PLACED_EPOCHS,
)
from streamer.control.cluster.wire import Beat, JobReport, Left, beat_entry, report_entry, report_of
from streamer.control.events import Exited
from streamer.control.jobs import JobStatus
from streamer.control.lifecycle import InstancePhase
from streamer.control.wishes import want_replicas, want_resumption
from streamer.descriptor.resources import Capacity
from streamer.log.base import Claim
from streamer.log.memory import MemoryLog
from streamer.log.topics import Topic
from streamer.state.life import read_life
from tests.control.cluster.conftest import MakeScene
from tests.control.cluster.scene import Scene
from tests.control.test_embedded import plan_of

_ECHO = "def start(args):\n    return args['streamInput']['message']\n"
_ENDLESS = "{connector: generator, rate: 200}"


def flowing(scene: Scene, job: str) -> None:
    """Every instance is at work."""
    scene.until(lambda: all_running(scene, job))


def _balanced(scene: Scene, job: str) -> tuple[int, int]:
    """What the source sent and the sink received, of a job whose edges are settled to the message."""
    account = scene.ended(job)
    assert account.balanced, account
    assert all(edge.in_flight == 0 and edge.dead_lettered == 0 for edge in account.edges), account
    received = next(node.received for node in account.nodes if node.node == "save")
    return account.edges[0].sent - account.edges[0].abandoned, received


def test_a_job_runs_on_all_machines_and_its_account_is_whole(scene: Scene, tmp_path: Path) -> None:
    job = scene.submit(plan_of(tmp_path, _ECHO))
    sent, received = _balanced(scene, job)
    assert (sent, received) == (500, 500)
    assert scene.status(job) == JobStatus.COMPLETED
    agents = [line.agent for line in scene.kept(job).instances if line.node == "parse"]
    assert sorted(agents) == ["a1", "a2"], "instances of a node are spread"


def test_instances_are_placed_where_there_is_room(make_scene: MakeScene, tmp_path: Path) -> None:
    scene = make_scene()
    scene.controller("c1")
    scene.agent("small", capacity=Capacity(instances=1))
    scene.agent("large")
    job = scene.submit(plan_of(tmp_path, _ECHO))
    scene.ended(job)
    agents = [line.agent for line in scene.kept(job).instances]
    assert agents.count("small") == 1
    assert agents.count("large") == 3


def test_a_job_waits_for_the_first_machine(make_scene: MakeScene, tmp_path: Path) -> None:
    scene = make_scene()
    scene.controller("c1")
    job = scene.submit(plan_of(tmp_path, _ECHO))
    scene.until(lambda: any("waits for a machine: no agent is there" in word for word in scene.words))
    scene.agent("late")
    assert _balanced(scene, job) == (500, 500)


def test_a_submission_that_is_read_again_begins_no_second_job(scene: Scene, tmp_path: Path) -> None:
    job = scene.submit(plan_of(tmp_path, _ECHO))
    scene.replay()
    assert _balanced(scene, job) == (500, 500)
    scene.replay()
    scene.turn()
    assert scene.lives() == {"a1": {}, "a2": {}}


def test_a_killed_instance_starts_again_on_its_machine(scene: Scene, tmp_path: Path) -> None:
    job = scene.submit(plan_of(tmp_path, _ECHO, _ENDLESS))
    flowing(scene, job)
    line = next(line for line in scene.kept(job).instances if line.instance == "parse-0")
    life = read_life(tmp_path / line.agent / "jobs" / job / "instances" / "parse-0")
    assert life is not None
    os.killpg(life.pid, signal.SIGKILL)
    scene.until(lambda: scene.lives()[line.agent].get("parse-0") == 2)
    flowing(scene, job)
    scene.drain(job)
    sent, received = _balanced(scene, job)
    assert received >= sent


def test_a_job_that_has_failed_goes_on_where_it_was(scene: Scene, tmp_path: Path) -> None:
    mended = tmp_path / "mended"
    broken = f"import pathlib\nif not pathlib.Path({str(mended)!r}).exists():\n    raise ValueError('not yet')\n"
    job = scene.submit(plan_of(tmp_path, broken + _ECHO))
    scene.until(lambda: scene.status(job) == JobStatus.FAILED and not any(scene.lives().values()))
    before = {line.instance: line.agent for line in scene.kept(job).instances}

    mended.touch()
    want_resumption(scene.log, job)
    scene.until(lambda: scene.status(job) != JobStatus.FAILED)

    assert _balanced(scene, job) == (500, 500)
    assert {line.instance: line.agent for line in scene.kept(job).instances} == before


def test_another_controller_goes_on_with_the_job_and_the_first_lets_go(scene: Scene, tmp_path: Path) -> None:
    job = scene.submit(plan_of(tmp_path, _ECHO, _ENDLESS))
    flowing(scene, job)
    before = scene.lives()
    scene.controller("c2")
    scene.until(lambda: scene.hosts["c1"].jobs == ())
    assert scene.hosts["c2"].jobs == (job,)
    want_replicas(scene.log, job, "parse", 3)
    scene.until(lambda: sum("parse-2" in lives for lives in scene.lives().values()) == 1)
    assert all(scene.lives()[agent][name] == epoch for agent, lives in before.items() for name, epoch in lives.items())
    scene.drain(job)
    sent, received = _balanced(scene, job)
    assert sent == received


def test_what_a_paused_controller_writes_after_its_successors_claim_counts_for_nobody(
    make_scene: MakeScene, tmp_path: Path
) -> None:
    scene = make_scene()
    scene.controller("paused")
    scene.agent("a1")
    job = scene.submit(plan_of(tmp_path, _ECHO, _ENDLESS))
    flowing(scene, job)
    paused = scene.hosts.pop("paused")
    scene.controller("successor")
    scene.turn()
    number = want_replicas(scene.log, job, "parse", 3)
    wish = next(record for record in scene.carried_again() if record.offset == number and record.scope == job)
    paused.take(wish)  # it has not read the claim yet
    assert sum(line.node == "parse" for line in scene.kept(job).instances) == 2
    scene.hosts["paused"] = paused
    scene.until(lambda: paused.jobs == ())
    scene.drain(job)
    sent, received = _balanced(scene, job)
    assert sent == received


def test_a_controller_that_was_killed_after_the_submission_is_made_up_for(
    make_scene: MakeScene, tmp_path: Path
) -> None:
    """The log has the job and nobody has been told of it."""
    scene = make_scene()
    killed = scene.controller("killed")
    job = scene.submit(plan_of(tmp_path, _ECHO))
    for record in scene.carried_again():
        killed.take(record)
    del scene.hosts["killed"]
    scene.forget_carried()
    scene.controller("next")
    scene.agent("a1")
    assert _balanced(scene, job) == (500, 500)


def test_a_job_that_was_submitted_while_nobody_led_is_begun_by_whoever_comes(scene: Scene, tmp_path: Path) -> None:
    del scene.hosts["c1"]
    job = scene.submit(plan_of(tmp_path, _ECHO))
    scene.forget_carried()

    scene.controller("c2")

    assert _balanced(scene, job) == (500, 500)


def test_a_job_that_two_controllers_begin_at_once_is_begun_once(
    make_scene: MakeScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As partitions change hands: the slower one has found no job, and the faster one begins it before its claim."""
    scene = make_scene()
    slower, faster = scene.controller("slower"), scene.controller("faster")
    scene.agent("a1")
    scene.turn()
    scene.turn()
    job = scene.submit(plan_of(tmp_path, _ECHO))
    (submission,) = [one for one in scene.carried_again() if one.topic is Topic.COMMANDS]
    claim = MemoryLog.claim

    def late(log: MemoryLog, scope: str, holder: str) -> Claim:
        if holder == "slower":
            faster.take(submission)
            faster.tick()
        return claim(log, scope, holder)

    monkeypatch.setattr(MemoryLog, "claim", late)
    slower.take(submission)

    assert _balanced(scene, job) == (500, 500)
    assert [word for word in scene.words if "which begins" in word] == [f"faster: leads job {job}, which begins"]


def test_what_was_wanted_while_nobody_led_is_done_by_whoever_takes_the_job_up(scene: Scene, tmp_path: Path) -> None:
    """Faust carries it as well, but not before its workers have agreed on who has which partition."""
    job = scene.submit(plan_of(tmp_path, _ECHO, _ENDLESS))
    flowing(scene, job)
    del scene.hosts["c1"]
    want_replicas(scene.log, job, "parse", 3)
    scene.forget_carried()

    scene.controller("c2")

    scene.until(lambda: sum("parse-2" in lives for lives in scene.lives().values()) == 1)
    scene.drain(job)


def test_a_controller_that_takes_up_many_jobs_looks_at_those_that_it_has_in_between(
    make_scene: MakeScene, tmp_path: Path
) -> None:
    minutes = itertools.count(step=60.0)
    scene = make_scene(clock=lambda: next(minutes))
    scene.controller("c1")
    jobs = [scene.submit(plan_of(tmp_path, _ECHO)) for _ in range(3)]
    scene.turn()

    successor = scene.controller("c2")
    in_hand = [len(successor.jobs)]
    for _ in jobs:
        successor.tick()
        in_hand.append(len(successor.jobs))

    assert in_hand == [0, 1, 2, 3]


def test_an_instance_that_has_died_does_not_wait_for_the_next_look_at_an_idle_job(
    make_scene: MakeScene, tmp_path: Path
) -> None:
    now = 60.0
    scene = make_scene(clock=lambda: now)
    scene.controller("c1")
    job = scene.submit(plan_of(tmp_path, _ECHO))
    scene.log.append_all([beat_entry(Beat("a1", "127.0.0.1", "a1"))])
    scene.turn()
    scene.log.append_all([report_entry(job, JobReport("a1", left=(Left(Exited("parse-0", 1, -9), None),)))])
    scene.turn()

    looks = round(limits.RESTART_DELAY_S / AGENT_LOOK_S) + 2
    for _ in range(looks):
        now += AGENT_LOOK_S
        scene.turn()

    assert next(line.epoch for line in scene.kept(job).instances if line.instance == "parse-0") == 2


def test_what_keeps_nothing_goes_on_elsewhere_when_its_machine_is_lost(make_scene: MakeScene, tmp_path: Path) -> None:
    time = Time()
    scene = make_scene(clock=time)
    scene.controller("c1")
    scene.agent("a1")
    scene.agent("a2")
    job = scene.submit(plan_of(tmp_path, _ECHO, _ENDLESS))
    time.until(scene, lambda: all_running(scene, job))
    source = next(line.agent for line in scene.kept(job).instances if line.node == "lines")
    save = next(line.agent for line in scene.kept(job).instances if line.node == "save")
    lost = "a2" if source == save == "a1" else "a1"
    cut = scene.agents.pop(lost)
    other = next(iter(scene.agents))
    gone = {line.instance for line in scene.kept(job).instances if line.agent == lost and line.node == "parse"}
    time.until(
        scene,
        lambda: all(scene.lives()[other].get(name) == PLACED_EPOCHS for name in gone),
        step=AGENT_GONE_S / 20,
    )
    waiting = {line.instance for line in scene.kept(job).instances if line.agent == lost}
    assert waiting == {
        line.instance for line in scene.kept(job).instances if line.agent == lost and line.node != "parse"
    }

    scene.agents[lost] = cut  # it was only cut off
    time.until(scene, lambda: not gone & set(scene.lives()[lost]))
    scene.drain(job)
    time.until(scene, lambda: not scene.kept(job).line.live)
    account = scene.kept(job).account
    assert account is not None
    assert account.balanced
    assert all(edge.in_flight == 0 for edge in account.edges)


def test_an_agent_that_comes_back_takes_up_what_goes_on(make_scene: MakeScene, tmp_path: Path) -> None:
    scene = make_scene()
    scene.controller("c1")
    first = scene.agent("a1")
    job = scene.submit(plan_of(tmp_path, _ECHO, _ENDLESS))
    flowing(scene, job)
    before = scene.lives()
    del scene.agents["a1"]
    first.close()
    scene.agent("a1")
    scene.until(lambda: scene.lives() == before)
    scene.drain(job)
    sent, received = _balanced(scene, job)
    assert sent == received


def test_a_machine_starts_its_instance_again_while_nobody_leads_the_job(make_scene: MakeScene, tmp_path: Path) -> None:
    scene = make_scene()
    scene.controller("c1")
    scene.agent("a1")
    job = scene.submit(plan_of(tmp_path, _ECHO, _ENDLESS))
    flowing(scene, job)
    del scene.hosts["c1"]
    life = read_life(tmp_path / "a1" / "jobs" / job / "instances" / "parse-0")
    assert life is not None
    os.killpg(life.pid, signal.SIGKILL)
    scene.until(lambda: scene.lives()["a1"].get("parse-0") == 2)
    scene.controller("c2")
    scene.until(lambda: _epoch(scene, job, "parse-0") == 2)
    flowing(scene, job)
    scene.drain(job)
    sent, received = _balanced(scene, job)
    assert received >= sent


def test_a_life_that_a_machine_has_begun_goes_on_when_its_controller_hears_of_the_death_first(
    make_scene: MakeScene, tmp_path: Path
) -> None:
    """What was said while the brokers were away comes in its order, and the agent may read the answer in between."""
    scene = make_scene()
    controller = scene.controller("c1")
    agent = scene.agent("a1")
    job = scene.submit(plan_of(tmp_path, _ECHO, _ENDLESS))
    flowing(scene, job)
    del scene.hosts["c1"]
    folder = tmp_path / "a1" / "jobs" / job / "instances" / "parse-0"
    life = read_life(folder)
    assert life is not None
    os.killpg(life.pid, signal.SIGKILL)
    scene.until(lambda: scene.lives()["a1"].get("parse-0") == 2)
    reports = [one for one in scene.carried_again() if one.topic is Topic.REPORTS and one.scope == job]

    controller.take(next(one for one in reports if report_of(one).left))
    controller.tick()
    assert next(one.phase for one in scene.kept(job).instances if one.instance == "parse-0") == "restarting"
    agent.serve()

    scene.hosts["c1"] = controller
    flowing(scene, job)
    scene.drain(job)
    sent, received = _balanced(scene, job)
    assert received >= sent
    last = read_life(folder)
    assert last is not None
    assert last.epoch == 2


class Time:
    """A clock that runs with the turns of a scene, faster where it is told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now

    def until(self, scene: Scene, seen: object, *, step: float = 0.005) -> None:
        assert callable(seen)

        def look() -> bool:
            self.now += step
            return bool(seen())

        scene.until(look)


def all_running(scene: Scene, job: str) -> bool:
    return (
        scene.has(job)
        and bool(scene.kept(job).instances)
        and all(line.phase is InstancePhase.RUNNING for line in scene.kept(job).instances)
    )


def _epoch(scene: Scene, job: str, instance: str) -> int:
    return next(line.epoch for line in scene.kept(job).instances if line.instance == instance)


def test_a_run_has_an_agent_of_its_own_and_when_both_were_killed_the_job_is_ended(
    make_scene: MakeScene, tmp_path: Path
) -> None:
    time = Time()
    scene = make_scene(clock=time)
    scene.controller("c1")
    own = scene.agent("run-1", of_run=True)
    scene.agent("a1")
    job = scene.submit(plan_of(tmp_path, _ECHO, _ENDLESS), run_by="run-1")
    time.until(scene, lambda: all_running(scene, job))
    assert {line.agent for line in scene.kept(job).instances} == {"run-1"}

    own.end()
    del scene.agents["run-1"]
    time.until(scene, lambda: not scene.kept(job).line.live, step=AGENT_GONE_S / 6)

    assert scene.kept(job).line.killed
    assert scene.lives()["a1"] == {}
    own.close()
