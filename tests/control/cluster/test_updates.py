"""Jobs on several machines become other versions of themselves, with real instances; code comes by the log alone."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path

from streamer.cluster_limits import AGENT_GONE_S, CODE_LATE_S
from streamer.control.cluster.held import HeldJob, Life, is_to_end
from streamer.control.cluster.wire import submit_entry
from streamer.control.events import Ask
from streamer.control.hosts.home import new_job
from streamer.control.jobs import JobStatus
from streamer.control.kept_code import read_code
from streamer.control.preflight import code_preflight
from streamer.control.records import InstanceLine, line_of_instance
from streamer.control.state import InstanceRecord
from streamer.control.wishes import want_end, want_resumption
from streamer.log.base import newest
from streamer.log.topics import Topic
from streamer.plan.compile import Plan
from streamer.state.life import read_life
from tests.control.cluster.conftest import MakeScene
from tests.control.cluster.scene import Scene
from tests.control.cluster.test_cluster import Time, all_running, flowing
from tests.control.test_embedded import plan_of

_ENDLESS = "{connector: generator, rate: 200}"
_MARKS = "import version\n\ndef start(args):\n    return [version.VERSION, args['streamInput']['message']['id']]\n"
_CRASHES = "import os, sys\n\ndef start(args):\n    sys.stderr.write('the table is gone\\n')\n    os._exit(9)\n"


def _version(folder: Path, version: int, *, source: str = _ENDLESS) -> Plan:
    """An algorithm of two files, as a command would read it now."""
    (folder / "version.py").write_text(f"VERSION = {version}\n")
    return _checked(plan_of(folder, _MARKS, source))


def _checked(plan: Plan) -> Plan:
    checked = code_preflight(plan)
    assert not checked.findings
    return checked.plan


def _written(folder: Path) -> list[tuple[int, int]]:
    """(version, id) of every message that came out."""
    path = folder / "out.jsonl"
    return [tuple(json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


def _versions(folder: Path) -> Counter[int]:
    return Counter(version for version, _ in _written(folder))


def _comes(scene: Scene, folder: Path, version: int) -> None:
    """More of this version comes out than has until now."""
    before = _versions(folder)[version]
    scene.until(lambda: _versions(folder)[version] > before + 20)


def _generations(scene: Scene, job: str) -> set[int]:
    return {line.generation for line in scene.kept(job).instances if line.node == "parse"}


def _is_exact(scene: Scene, job: str, folder: Path) -> bool:
    """Every message that was read came out once, in whichever version."""
    scene.drain(job)
    account = scene.ended(job)
    read = account.edges[0].sent - account.edges[0].abandoned
    assert account.balanced, account
    return sorted(number for _, number in _written(folder)) == list(range(read))


def _code_in_the_log(scene: Scene, job: str) -> int:
    return len(newest(scene.log, Topic.CODE, scope=job))


def _kill(scene: Scene, folder: Path, job: str, instance: str) -> None:
    """Kill -9, and wait for its next life."""
    line = next(line for line in scene.kept(job).instances if line.instance == instance)
    life = read_life(folder / line.agent / "jobs" / job / "instances" / instance)
    assert life is not None
    os.killpg(life.pid, signal.SIGKILL)
    scene.until(lambda: scene.lives()[line.agent].get(instance, 0) > life.epoch)


def test_other_code_comes_to_the_instances_of_all_machines_and_no_message_is_lost(scene: Scene, tmp_path: Path) -> None:
    job = scene.submit(_version(tmp_path, 1))
    flowing(scene, job)
    _comes(scene, tmp_path, 1)
    before = scene.lives()

    updated = scene.updated(job, scene.update(job, _version(tmp_path, 2)))

    assert (updated.error, updated.generation, _generations(scene, job)) == ("", 2, {2})
    changed = {n for agent, lives in scene.lives().items() for n, epoch in lives.items() if before[agent][n] != epoch}
    assert changed == {"parse-0", "parse-1"}, "nobody else is touched, and nobody has moved"
    _comes(scene, tmp_path, 2)
    assert _is_exact(scene, job, tmp_path)
    assert _versions(tmp_path).keys() == {1, 2}


def test_an_edit_reaches_nobody_without_an_update(scene: Scene, tmp_path: Path) -> None:
    """Not even an instance that is started again: it runs what its job was given."""
    job = scene.submit(_version(tmp_path, 1))
    flowing(scene, job)
    for name in ("version.py", "parse.py"):
        (tmp_path / name).unlink()
    for instance in ("parse-0", "parse-1"):
        _kill(scene, tmp_path, job, instance)
    flowing(scene, job)
    _comes(scene, tmp_path, 1)
    assert _is_exact(scene, job, tmp_path)


def test_a_version_that_crashes_is_rolled_back_by_itself_and_says_why(scene: Scene, tmp_path: Path) -> None:
    job = scene.submit(_version(tmp_path, 1))
    flowing(scene, job)

    updated = scene.updated(job, scene.update(job, _checked(plan_of(tmp_path, _CRASHES, _ENDLESS))))

    assert "died with exit code 9" in updated.error
    assert "the table is gone" in updated.error
    assert (scene.kept(job).line.generation, _generations(scene, job)) == (1, {1})
    flowing(scene, job)
    _comes(scene, tmp_path, 1)
    assert _is_exact(scene, job, tmp_path)


def test_what_cannot_be_changed_is_refused_with_the_difference_named(scene: Scene, tmp_path: Path) -> None:
    job = scene.submit(_version(tmp_path, 1))
    flowing(scene, job)
    before = scene.lives()

    updated = scene.updated(job, scene.update(job, _version(tmp_path, 2, source="{connector: generator, rate: 7}")))

    assert updated.refused
    assert "node lines: spec.rate is 7, and was 200" in updated.error
    assert scene.lives() == before


def test_another_controller_carries_on_with_an_update(scene: Scene, tmp_path: Path) -> None:
    job = scene.submit(_version(tmp_path, 1))
    flowing(scene, job)
    number = scene.update(job, _version(tmp_path, 2))
    scene.until(lambda: _generations(scene, job) == {1, 2})
    del scene.hosts["c1"]
    scene.controller("c2")

    updated = scene.updated(job, number)

    assert (updated.error, updated.generation, _generations(scene, job)) == ("", 2, {2})
    _comes(scene, tmp_path, 2)
    assert _is_exact(scene, job, tmp_path)


def test_an_instance_that_has_left_for_an_update_goes_on_as_it_was_while_nobody_leads_and_is_updated_later(
    make_scene: MakeScene, tmp_path: Path
) -> None:
    time = Time()
    scene = make_scene(clock=time)
    scene.controller("c1")
    scene.agent("a1")
    job = scene.submit(_version(tmp_path, 1))
    time.until(scene, lambda: all_running(scene, job))
    scene.update(job, _version(tmp_path, 2))
    time.until(scene, lambda: any(line.renewing for line in scene.kept(job).instances))
    del scene.hosts["c1"]
    time.until(scene, lambda: scene.lives()["a1"].get("parse-0") == 2, step=AGENT_GONE_S / 20)

    scene.controller("c2")
    time.until(scene, lambda: bool(scene.kept(job).line.updates))

    (updated,) = scene.kept(job).line.updates
    assert (updated.error, updated.generation, _generations(scene, job)) == ("", 2, {2})
    assert scene.lives()["a1"]["parse-0"] == 3
    scene.drain(job)
    time.until(scene, lambda: not scene.kept(job).line.live)
    account = scene.kept(job).account
    assert account is not None
    assert account.balanced
    read = account.edges[0].sent - account.edges[0].abandoned
    assert sorted(number for _, number in _written(tmp_path)) == list(range(read))


def test_a_life_that_a_machine_began_by_itself_beside_an_order_for_the_next_generation_is_ended() -> None:
    """Nobody led the job for a while, and its next controller has ordered a life of the same number."""
    held = HeldJob("job", lives={"parse-0": Life(2, generation=1)})

    def wanted(epoch: int, generation: int) -> InstanceLine:
        record = InstanceRecord("parse", 0, "parse-0", 0.0, epoch=epoch, generation=generation)
        return line_of_instance(record)

    assert not is_to_end(held, "parse-0", wanted(1, 1)), "it is the next life of what the log knows"
    assert not is_to_end(held, "parse-0", wanted(2, 1))
    assert is_to_end(held, "parse-0", wanted(2, 2))


def test_code_that_does_not_come_fails_the_start_and_is_named(make_scene: MakeScene, tmp_path: Path) -> None:
    time = Time()
    scene = make_scene(clock=time)
    scene.controller("c1")
    scene.agent("a1")
    code = read_code(_version(tmp_path, 1))
    facts = new_job(code.plan, tmp_path, detached=True)
    scene.log.append_all([submit_entry(facts, code.plan)])

    time.until(scene, lambda: scene.status(facts.job) == JobStatus.FAILED, step=CODE_LATE_S / 20)

    error = scene.kept(facts.job).line.error or ""
    assert str(tmp_path / "parse.py") in error
    assert "is not in the control log" in error


def test_the_code_of_a_job_goes_with_it(scene: Scene, tmp_path: Path) -> None:
    job = scene.submit(_version(tmp_path, 1))
    flowing(scene, job)
    assert _code_in_the_log(scene, job) == 2
    want_end(scene.log, job, Ask.KILL)
    scene.ended(job)
    scene.until(lambda: _code_in_the_log(scene, job) == 0)


def test_a_job_that_has_failed_keeps_its_code_and_goes_on_with_what_was_mended(scene: Scene, tmp_path: Path) -> None:
    broken = "def init(args):\n    raise ValueError('not yet')\n"
    job = scene.submit(_checked(plan_of(tmp_path, broken + _MARKS.partition("\n")[2])))
    scene.until(lambda: scene.status(job) == JobStatus.FAILED and not any(scene.lives().values()))
    for _ in range(3):
        scene.turn()
    assert _code_in_the_log(scene, job) == 1

    code = read_code(_version(tmp_path, 2, source="{connector: generator, count: 500}"))
    scene.ship(job, code)
    want_resumption(scene.log, job, code.codes)
    scene.until(lambda: scene.status(job) != JobStatus.FAILED)
    account = scene.ended(job)

    assert account.balanced
    assert scene.status(job) == JobStatus.COMPLETED
    assert _versions(tmp_path) == {2: 500}
