"""`streamer update` on a real cluster: a job becomes other code under load, and no message is lost or counted twice.

Its machines have homes and working folders of their own, and nobody but the commands looks into the user's folder: that
is taken away whenever no command is given, so whatever an instance runs has come by the log.
"""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from streamer.cluster_limits import CODE_BYTES_MAX
from tests.cli.command import Done
from tests.cluster.machines import Machines
from tests.conftest import Tell
from tests.kafka.broker import bootstrap

_RATE = 200
_PIPELINE = """
name: NAME
kind: stream
nodes:
  - {nodeName: numbers, kind: source, spec: {connector: generator, rate: RATE}}
  - {nodeName: relay, algorithmName: relay, stateType: stateless, minStatelessCount: 2}
  - {nodeName: count, algorithmName: count, stateType: stateful}
  - {nodeName: save, kind: sink, spec: {connector: file, path: NAME.jsonl, format: jsonl}}
streaming: {flows: {main: numbers >> relay >> count >> save}}
---
name: relay
code: {path: relay.py}
---
name: count
code: {path: count.py}
"""
_RELAY = """
import version

def start(args):
    return {**args["streamInput"]["message"], "relay": version.VERSION}
"""
_CRASHES = """
import os, sys

def start(args):
    if args["streamInput"]["message"]["id"] % 50 == 7:
        sys.stderr.write("the table of users is gone\\n")
        sys.stderr.flush()
        os._exit(9)
    return {**args["streamInput"]["message"], "relay": 99}
"""
_COUNT = """
import version

def start(args, api):
    total = api.state.counter("total")

    def on_message(message, origin):
        api.sendMessage({**message, "total": total.add("all"), "count": version.VERSION})

    api.registerInputListener(on_message)
    api.startMessageListening()
"""


class _User:
    """Who has a pipeline and two algorithms in a folder, and gives commands there."""

    def __init__(self, machines: Machines, name: str) -> None:
        self.machines = machines
        self.name = name
        self.job = ""
        self._folder = machines.folder / f"project of {name}"
        self._away = machines.folder / f"{name} is away"
        self._away.mkdir()
        self.code(1)

    def code(self, version: int, *, relay: str = _RELAY, rate: int = _RATE) -> None:
        files = {"relay.py": relay, "count.py": _COUNT, "version.py": f"VERSION = {version}\n"}
        files["pipeline.yaml"] = _PIPELINE.replace("NAME", self.name).replace("RATE", str(rate))
        for name, text in files.items():
            (self._away / name).write_text(text)

    def submits(self) -> Done:
        done = self._gives("submit")
        jobs = {row["pipeline"]: row["job"] for row in json.loads(self.machines.ok("ps", "-a", "--json"))}
        assert self.name in jobs, f"{done}\n{self.machines.told()}"
        self.job = jobs[self.name]
        return done

    def updates(self) -> Done:
        return self._gives("update", self.job)

    def resumes(self) -> Done:
        return self._gives("resume", self.job, files=())

    def _gives(self, *command: str, files: tuple[str, ...] = ("pipeline.yaml",)) -> Done:
        self._away.rename(self._folder)
        try:
            return self.machines.run(*command, *(self._folder / name for name in files), "--json")
        finally:
            self._folder.rename(self._away)

    def rows(self) -> list[dict[str, Any]]:
        path = self.machines.folder / f"{self.name}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def versions(self) -> Counter[tuple[int, int]]:
        return Counter((row["relay"], row["count"]) for row in self.rows())

    def flows(self, *version: int) -> None:
        """More messages come out, of this version if one is named."""

        def seen() -> int:
            return self.versions()[version[0], version[0]] if version else len(self.rows())

        before = seen()
        self.machines.until(lambda: seen() > before + _RATE // 4)

    def is_exact(self, tell: Tell) -> bool:
        """Every number that was read is written once, and counted once, in whichever version."""
        account = self.machines.stopped(self.job)
        numbers, rows = account["edges"][0], self.rows()
        read = numbers["sent"] - numbers["abandoned"]
        redelivered = sum(edge["redelivered"] for edge in account["edges"])
        tell(f"{read} read, {len(rows)} written, {redelivered} redelivered, by versions {dict(self.versions())}")
        ids, totals = (sorted(row[key] for row in rows) for key in ("id", "total"))
        return ids == list(range(read)) and totals == list(range(1, read + 1))


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """A controller and two agents, each in a folder of its own."""
    folder = tmp_path_factory.mktemp("cluster")
    made = Machines(folder, bootstrap())
    made.start("controller", "controller")
    for name in ("a1", "a2"):
        (folder / f"place of {name}").mkdir()
        made.agent(name, cwd=folder / f"place of {name}")
    yield made
    made.close()


@pytest.fixture(scope="module")
def user(machines: Machines) -> _User:
    """With a job that tests have in turn; each leaves it what it was, and the last one stops it."""
    user = _User(machines, "stays")
    user.submits()
    user.flows()
    return user


def test_code_changes_under_load_with_state_kept_and_what_is_started_again_runs_it_too(
    machines: Machines, tell: Tell
) -> None:
    user = _User(machines, "changes")
    user.submits()
    user.flows()
    before = machines.status(user.job)["instances"]
    user.code(2)
    done = user.updates()

    assert done.code == 0, f"{done}\n{machines.told()}"
    assert json.loads(done.stdout) == {"job": user.job, "result": "updated", "generation": 2, "error": ""}
    assert "renewing instances, 3 of 3" in done.stderr
    user.flows(2)
    after = machines.status(user.job)["instances"]
    assert [one["agent"] for one in after] == [one["agent"] for one in before], "each stays where its state is"
    assert {one["agent"] for one in after if one["node"] == "relay"} == {"a1", "a2"}
    assert {one["node"]: one["generation"] for one in after} == {"numbers": 1, "relay": 2, "count": 2, "save": 1}

    killed = {one: pid for one, pid in machines.pids(user.job).items() if one in ("relay-0", "relay-1", "count-0")}
    for pid in killed.values():
        os.kill(pid, signal.SIGKILL)
    machines.until(lambda: all(machines.pids(user.job).get(one, pid) != pid for one, pid in killed.items()))
    user.flows(2)
    assert user.versions().keys() >= {(1, 1), (2, 2)}
    assert user.is_exact(tell)


def test_what_cannot_change_is_refused_with_every_difference_named_and_what_has_not_changed_is_left_alone(
    machines: Machines, user: _User
) -> None:
    before = machines.pids(user.job)
    user.code(1, rate=7)
    done = user.updates()
    assert done.code == 2, done
    assert f"node numbers: spec.rate is 7, and was {_RATE}" in done.stderr

    user.code(1, relay=_RELAY + "#" * CODE_BYTES_MAX)
    done = user.updates()
    assert done.code == 2, done
    assert "relay.py; what travels to the machines of a cluster is at most 2000 files, of 8 MiB in all" in done.stderr

    user.code(1)
    done = user.updates()
    assert (done.code, json.loads(done.stdout)["result"]) == (0, "unchanged"), done
    assert machines.pids(user.job) == before


def test_a_version_that_crashes_is_rolled_back_by_itself_and_says_why(
    machines: Machines, user: _User, tell: Tell
) -> None:
    user.code(2, relay=_CRASHES)
    done = user.updates()

    assert done.code == 1, f"{done}\n{machines.told()}"
    document = json.loads(done.stdout)
    assert (document["result"], document["generation"]) == ("rolled back", 1)
    assert "died with exit code 9" in document["error"]
    assert "the table of users is gone" in document["error"]
    status = machines.status(user.job)
    assert document["error"] in status["update"]
    assert {one["generation"] for one in status["instances"]} == {1}
    user.flows(1)
    assert user.is_exact(tell)


def test_a_job_that_has_failed_goes_on_with_the_code_that_was_mended_and_code_that_does_not_import_is_refused(
    machines: Machines, tell: Tell
) -> None:
    user = _User(machines, "mended")
    user.code(1, relay=_RELAY + "\ndef init(args):\n    raise ValueError('no table of users')\n")
    done = user.submits()
    assert done.code == 1, done
    assert "no table of users" in done.stderr

    user.code(2, relay="import nothing_like_this\n" + _RELAY)
    done = user.resumes()
    assert done.code == 2, done
    assert "node relay: algorithm relay" in done.stderr

    user.code(2)
    done = user.resumes()
    assert done.code == 0, f"{done}\n{machines.told()}"
    user.flows(2)
    assert user.is_exact(tell)
