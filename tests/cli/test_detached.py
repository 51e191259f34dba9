"""Jobs on their own: they outlive command, terminal and supervisor, and do as they are told."""

from __future__ import annotations

import json
import os
import pty
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import Desk
from tests.cli.detached import PASS, Detached, detached, is_one_message
from tests.conftest import Tell

COUNT = 8_000
NODES = (
    "  - {nodeName: numbers, kind: source, spec: {connector: generator, rate: 1000, count: %s}}\n"
    "  - {nodeName: pass, algorithmName: pass, stateType: stateless, minStatelessCount: 2, maxStatelessCount: 4}\n"
    "  - {nodeName: save, kind: sink, spec: {connector: file, path: out.jsonl, format: jsonl}}\n"
)
FLOW = "{main: numbers >> pass >> save}"
_VERSION_AT = 63
"""Where a SQLite file has the lowest byte of the version that its user gives it."""
ALGORITHM = "---\nname: pass\ncode: {path: pass.py}\n"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """With a pipeline whose job ends after COUNT messages; jobs that a test leaves behind are ended."""
    desk = Desk(tmp_path)
    desk.pipeline(NODES % COUNT, FLOW, ALGORITHM)
    desk.write("pass.py", PASS)
    yield desk
    for row in json.loads(desk.run("ps", "--json").stdout or "[]"):
        desk.run("stop", row["job"], "--now")


def endless(desk: Desk) -> None:
    desk.pipeline(NODES % 10_000_000, FLOW, ALGORITHM)


def saved(desk: Desk) -> list[int]:
    return [json.loads(line)["id"] for line in (desk.folder / "out.jsonl").read_text().splitlines()]


def is_complete(job: Detached, tell: Tell) -> bool:
    """All messages are in the sink, and the account says so."""
    account = job.status()["account"]
    numbers = account["edges"][0]
    ids = saved(job.desk)
    redelivered = sum(edge["redelivered"] for edge in account["edges"])
    tell(f"{COUNT} messages: {len(set(ids))} in the sink, {len(ids)} lines, {redelivered} redelivered")
    for edge in account["edges"]:
        ends = edge["settled"] + edge["dead_lettered"] + sum(edge["dropped"].values()) + edge["abandoned"]
        assert edge["sent"] == ends + edge["in_flight"], edge
        assert (edge["in_flight"], edge["dead_lettered"]) == (0, 0), edge
    return set(ids) == set(range(COUNT)) and numbers["sent"] - numbers["abandoned"] == COUNT


def test_detach_returns_with_all_nodes_at_work_and_the_job_completes_on_its_own(desk: Desk, tell: Tell) -> None:
    job = detached(desk)

    row = job.ps()
    assert list(row) == ["job", "pipeline", "status", "since", "nodes", "update"]
    assert (row["pipeline"], row["status"]) == ("words", "running")
    assert row["nodes"] == {"numbers": 1, "pass": 2, "save": 1}
    assert set(job.pids()) == {"numbers-0", "pass-0", "pass-1", "save-0"}

    job.until_status("completed")
    assert is_complete(job, tell)
    assert json.loads(desk.run("ps", "--json").stdout) == []
    job.until(lambda: not job.supervisors())


def test_a_detached_job_outlives_its_terminal(desk: Desk, tell: Tell) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(desk.folder)
        os.environ["STREAMER_HOME"] = str(desk.home)
        os.execv(sys.executable, [sys.executable, "-m", "streamer", "run", "pipeline.yaml", "--detach"])
    told = b""
    while True:
        try:
            told += os.read(terminal, 4096)
        except OSError:
            break
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 0, told

    (folder,) = desk.jobs()
    job = Detached(desk, folder.name)
    assert job.job.encode() in told
    assert all(os.getsid(one) == one for one in [*job.supervisors(), *job.pids().values()])
    for one in job.supervisors():
        os.kill(one, signal.SIGHUP)
    job.until_status("completed")
    assert is_complete(job, tell)


def test_a_job_whose_supervisor_was_killed_is_taken_up_with_its_instances_untouched(desk: Desk, tell: Tell) -> None:
    job = detached(desk)
    before = job.pids()
    job.kill_supervisor()

    assert job.ps()["status"] == "running"

    assert len(job.supervisors()) == 1
    assert job.pids() == before
    job.until_status("completed")
    assert is_complete(job, tell)
    assert [node["restarts"] for node in job.status()["account"]["nodes"]] == [0, 0, 0]


def test_instances_that_died_unsupervised_are_started_again_and_nothing_is_lost(desk: Desk, tell: Tell) -> None:
    job = detached(desk)
    before = job.pids()
    job.kill_supervisor()
    for instance in ("pass-1", "numbers-0"):
        os.kill(before[instance], signal.SIGKILL)

    job.ps()
    job.until(lambda: len(job.pids()) == 4)

    after = job.pids()
    assert {name for name in before if before[name] != after[name]} == {"pass-1", "numbers-0"}
    job.until_status("completed")
    assert is_complete(job, tell)
    assert [node["restarts"] for node in job.status()["account"]["nodes"]] == [1, 1, 0]


def test_a_job_that_has_ended_unsupervised_is_told_to_have_completed(desk: Desk, tell: Tell) -> None:
    job = detached(desk)
    job.kill_supervisor()
    job.until(lambda: not job.pids())

    job.until_status("completed")

    assert is_complete(job, tell)


def test_a_second_supervisor_is_refused_by_one_message(desk: Desk) -> None:
    endless(desk)
    job = detached(desk)
    (first,) = job.supervisors()

    done = desk.run("supervise", job.job)

    assert is_one_message(done, job.job, "supervised by another process"), done
    assert job.supervisors() == [first]


def test_stop_drains_and_returns_when_the_job_has_ended(desk: Desk) -> None:
    endless(desk)
    job = detached(desk)

    done = desk.run("stop", "words", "--json")

    account = done.account
    assert (done.code, account["status"]) == (0, "stopped"), done.stderr
    assert not job.pids()
    assert all(edge["in_flight"] == 0 for edge in account["edges"])
    assert sorted(saved(desk)) == list(range(account["edges"][0]["sent"]))
    assert desk.run("stop", job.job).code == 0, "a job that has ended is ended"


def test_stop_now_ends_at_once(desk: Desk) -> None:
    endless(desk)
    desk.write("pass.py", "import time\ndef start(args, api):\n    time.sleep(3600)\n")
    job = detached(desk)

    done = desk.run("stop", job.job, "--now", "--json")

    assert (done.code, done.account["status"]) == (0, "stopped"), done.stderr
    assert done.account["edges"][0]["in_flight"] > 0
    assert not job.pids()


def test_a_node_is_scaled_up_and_down_under_load_and_nothing_is_lost_or_comes_twice(desk: Desk, tell: Tell) -> None:
    endless(desk)
    job = detached(desk, "--no-autoscale")  # what auto gives is the descriptor's then

    for wanted, expected in (("4", 4), ("2", 2), ("3", 3), ("auto", 2)):
        done = desk.run("scale", "words", "pass", wanted, "--json")
        assert done.code == 0, done.stderr
        assert json.loads(done.stdout) == {
            "job": job.job, "node": "pass", "replicas": expected, "pinned": wanted != "auto"
        }  # fmt: skip
        assert job.ps()["nodes"]["pass"] == expected
        assert len([name for name in job.pids() if name.startswith("pass-")]) == expected

    account = desk.run("stop", job.job, "--json").account
    ids = saved(desk)
    tell(f"{account['edges'][0]['sent']} messages through 2, 4, 2, 3, 2 replicas: {len(set(ids))} in the sink")
    assert sorted(ids) == list(range(account["edges"][0]["sent"]))
    assert all(edge["sent"] == edge["settled"] for edge in account["edges"])
    assert account["nodes"][1] == {
        "node": "pass", "instances": 2, "restarts": 0, "received": account["edges"][1]["sent"], "failed": 0
    }  # fmt: skip


def test_a_pin_outlives_the_supervisor(desk: Desk) -> None:
    endless(desk)
    job = detached(desk)
    desk.run("scale", "words", "pass", "3")
    job.kill_supervisor()

    done = desk.run("scale", "words", "pass", "4")

    assert done.code == 0, done.stderr
    assert job.status()["pinned"] == {"pass": 4}
    assert desk.run("stop", "words", "--json").account["status"] == "stopped"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(("status", "wordz"), ("wordz", "words"), id="a job that there is not"),
        pytest.param(("stop", "wordz"), ("wordz", "words"), id="stopping one"),
        pytest.param(("logs", "words", "pas"), ("no node pas", "pass"), id="a node that there is not"),
        pytest.param(("scale", "words", "pas", "2"), ("no node pas", "pass"), id="scaling one"),
        pytest.param(("scale", "words", "pass", "5"), ("5 replicas", "maxStatelessCount"), id="beyond the most"),
        pytest.param(("scale", "words", "pass", "1"), ("1 replicas", "minStatelessCount"), id="below the least"),
        pytest.param(("scale", "words", "save", "2"), ("save", "exactly one"), id="a sink"),
        pytest.param(("scale", "words", "pass", "many"), ("many", "number"), id="no number"),
    ],
)
def test_bad_input_is_one_message_and_changes_nothing(
    desk_at_work: Detached, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    before = desk_at_work.ps()

    done = desk_at_work.desk.run(*arguments)

    assert is_one_message(done, *words), done
    assert desk_at_work.ps() == before


@pytest.fixture(scope="module")
def desk_at_work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Detached]:
    desk = Desk(tmp_path_factory.mktemp("desk"))
    endless(desk)
    desk.write("pass.py", "def init(args):\n    print('hello')\n" + PASS)
    yield detached(desk)
    desk.run("stop", "words", "--now")


def test_two_live_jobs_of_a_pipeline_must_be_told_apart(desk: Desk) -> None:
    endless(desk)
    desk.pipeline((NODES % 10_000_000).replace("out.jsonl", "one.jsonl"), FLOW, ALGORITHM)
    one = detached(desk)
    desk.pipeline((NODES % 10_000_000).replace("out.jsonl", "two.jsonl"), FLOW, ALGORITHM)
    two = detached(desk)

    done = desk.run("status", "words")

    assert is_one_message(done, one.job, two.job, "by its id"), done


def test_logs_are_shown_with_node_and_instance(desk_at_work: Detached) -> None:
    desk = desk_at_work.desk

    assert sorted(desk.run("logs", "words").stdout.splitlines()) == ["pass pass-0 | hello", "pass pass-1 | hello"]
    assert desk.run("logs", "words", "pass-1").stdout == "pass pass-1 | hello\n"
    assert [json.loads(line) for line in desk.run("logs", "words", "pass-1", "--json").stdout.splitlines()] == [
        {"node": "pass", "instance": "pass-1", "line": "hello"}
    ]


def test_logs_are_followed_until_the_job_has_ended(desk: Desk) -> None:
    desk.write(
        "pass.py",
        "def start(args, api):\n"
        "    if args['streamInput']['message']['id'] % 1000 == 999:\n"
        "        print(args['streamInput']['message']['id'])\n",
    )
    job = detached(desk)

    done = desk.run("logs", job.job, "pass", "-f")

    numbers = sorted(int(line.rpartition("| ")[2]) for line in done.stdout.splitlines())
    assert (done.code, numbers) == (0, list(range(999, COUNT, 1000))), done.stderr


def test_a_job_in_the_foreground_is_seen_scaled_and_stopped_by_other_commands(desk: Desk) -> None:
    endless(desk)
    with desk.started("run", "pipeline.yaml", "--json") as command:
        job = Detached(desk, command.until(lambda line: line.startswith("job ")).split()[1])
        job.until_status("running")
        assert desk.run("scale", "words", "pass", "3").code == 0
        assert desk.run("stop", "words", "--json").account["status"] == "stopped"
        done = command.finish()

    assert (done.code, done.account["status"], done.account["nodes"][1]["instances"]) == (0, "stopped", 3)


def test_a_job_in_the_foreground_that_died_with_its_command_is_told_to_have_failed(desk: Desk) -> None:
    endless(desk)
    with desk.started("run", "pipeline.yaml") as command:
        job = Detached(desk, command.until(lambda line: line.startswith("job ")).split()[1])
        job.until_status("running")
        command.process.kill()
        command.process.wait()

    assert job.ps()["status"] == "failed"
    assert "killed" in job.status()["error"]
    job.until(lambda: not job.pids())


def test_a_job_that_fails_before_it_is_at_work_is_told_with_its_error(desk: Desk) -> None:
    desk.write("pass.py", "def init(args):\n    raise RuntimeError('no such model')\n" + PASS)

    done = desk.run("run", "pipeline.yaml", "--detach", "--json")

    assert (done.code, done.stdout) == (1, "")
    assert "no such model" in done.stderr
    job = Detached(desk, desk.jobs()[0].name)
    job.until(lambda: not job.supervisors())


def test_a_detached_job_has_no_stdin(desk: Desk) -> None:
    desk.pipeline(
        "  - {nodeName: lines, kind: source, spec: {connector: stdin, format: text}}\n"
        "  - {nodeName: gone, kind: sink, spec: {connector: blackhole}}\n",
        "{main: lines >> gone}",
    )

    assert is_one_message(desk.run("run", "pipeline.yaml", "--detach"), "lines", "stdin", "without --detach")
    assert not desk.jobs()


@pytest.mark.parametrize("command", [("ps",), ("run", "pipeline.yaml"), ("run", "pipeline.yaml", "--detach")])
def test_a_log_of_another_version_is_refused_and_left_alone(desk: Desk, command: tuple[str, ...]) -> None:
    desk.run("ps")
    (file,) = (desk.home / "log").glob("*.sqlite")
    before = bytearray(file.read_bytes())
    before[_VERSION_AT] = 99
    file.write_bytes(before)

    done = desk.run(*command)

    assert is_one_message(done, str(file)), done
    assert file.read_bytes() == before
    assert not desk.jobs()
    for path in (desk.home / "log").iterdir():
        path.unlink()
