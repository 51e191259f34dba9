"""`streamer dlq`, and what it is for, on real processes: letters looked at, sent in again under kills, and purged."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from streamer.state.dead_letters import DeadLetters
from tests.cli.command import Desk
from tests.cli.detached import Detached, detached, is_one_message

WORK = """
from pathlib import Path

def start(args):
    n = args["streamInput"]["message"]["id"]
    if n % 10 == 0 and not Path("mended").exists():
        raise ConnectionError(f"{n} is not there")
    return n
"""


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    yield Desk(tmp_path)


def written(desk: Desk) -> list[int]:
    return [json.loads(line) for line in (desk.folder / "out.jsonl").read_text().splitlines()]


def letters_of(job: Detached) -> DeadLetters:
    return DeadLetters(job.folder / "dead-letters.sqlite")


@contextmanager
def started(
    desk: Desk, code: str = WORK, *, count: int = 100, node: str = "minStatelessCount: 2"
) -> Iterator[Detached]:
    """feed >> work >> out, where `feed` sends so many numbers and then waits."""
    desk.write("work.py", code)
    desk.write(
        "feed.py",
        f"import threading\nstopping = threading.Event()\n\ndef start(args, api):\n    for n in range({count}):\n"
        "        api.sendMessage({'id': n})\n    stopping.wait()\n\ndef stop(args):\n    stopping.set()\n",
    )
    desk.pipeline(
        "  - {nodeName: feed, kind: algorithm, algorithmName: feed, stateType: stateful}\n"
        f"  - {{nodeName: work, kind: algorithm, algorithmName: work, {node}}}\n"
        "  - {nodeName: out, kind: sink, spec: {connector: file, path: out.jsonl, format: jsonl}}\n",
        "{main: feed >> work >> out}",
        "---\nname: work\ncode: {path: work.py}\n---\nname: feed\ncode: {path: feed.py}\n",
    )
    job = detached(desk)
    try:
        yield job
    finally:
        desk.run("stop", job.job, "--now")


def until_settled(job: Detached, settled: int, dead: int) -> None:
    def done() -> bool:
        edge = job.status()["account"]["edges"][0]
        return bool(edge["settled"] == settled and edge["dead_lettered"] == dead and not edge["in_flight"])

    job.until(done)


def test_letters_are_listed_shown_sent_in_again_and_purged(desk: Desk) -> None:
    with started(desk) as job:
        until_settled(job, 90, 10)

        listed = json.loads(desk.run("dlq", "list", "words", "--json").stdout)
        assert (listed["job"], listed["counts"], listed["replayed"]) == (job.job, {"work": 10}, {})
        assert {one["error"] for one in listed["letters"]} == {
            f"ConnectionError: {n} is not there" for n in range(0, 100, 10)
        }
        assert {(one["node"], one["source"], one["flow"], one["version"]) for one in listed["letters"]} == {
            ("work", "feed", "main", 1)
        }
        plain = desk.run("dlq", "list", "words", "--error", "50 is").stdout
        assert plain.splitlines()[-1] == "1 dead letter (work 1), 0 replayed"
        number = next(one["number"] for one in listed["letters"] if "50" in one["error"])
        shown = desk.run("dlq", "show", "words", str(number))
        assert "ConnectionError: 50 is not there" in shown.stdout and "work.py" in shown.stdout
        facts = json.loads(desk.run("dlq", "show", "words", str(number), "--json").stdout)
        assert (facts["message"], facts["headers"], facts["attempts"]) == ({"id": 50}, {}, 1)

        again = desk.run("dlq", "replay", "words", str(number))
        assert (again.code, again.stdout) == (1, "0 dead letters replayed, 1 failed again\n")
        desk.write("mended", "")
        again = desk.run("dlq", "replay", "words", str(number), "--json")
        assert (again.code, json.loads(again.stdout)["replayed"]) == (0, 1), again.stderr
        purged = desk.run("dlq", "purge", "words", "--error", "90 is")
        assert (purged.code, purged.stdout) == (0, "1 dead letter purged\n")
        rest = desk.run("dlq", "replay", "words")
        assert (rest.code, rest.stdout) == (0, "8 dead letters replayed\n"), rest.stderr
        assert desk.run("dlq", "list", "words").stdout == "0 dead letters, 9 replayed\n"

        assert desk.run("stop", "words").code == 0
        assert sorted(written(desk)) == [n for n in range(100) if n != 90]


def test_letters_of_a_job_that_has_ended_can_be_looked_at_and_purged_and_not_sent_in(desk: Desk) -> None:
    with started(desk) as job:
        until_settled(job, 90, 10)
        desk.run("stop", "words")

        refused = desk.run("dlq", "replay", job.job)
        assert is_one_message(refused, "is stopped", "nobody is there who could take its dead letters")
        assert refused.code == 2
        assert (
            desk.run("dlq", "purge", job.job, "--since", "1h", "--json").stdout
            == json.dumps({"job": job.job, "purged": 10}) + "\n"
        )
        assert desk.run("dlq", "list", job.job).stdout == "0 dead letters, 0 replayed\n"


def test_wrong_words_are_told(desk: Desk) -> None:
    desk.write("mended", "")
    with started(desk, count=1) as job:
        assert desk.run("dlq", "list", "words").stdout == "0 dead letters, 0 replayed\n"
        assert is_one_message(desk.run("dlq", "list", "words", "--since", "yesterday"), "'yesterday' is no time")
        assert is_one_message(desk.run("dlq", "purge", "words", "--node", "wrok"), "has no node wrok", "work")
        assert is_one_message(desk.run("dlq", "show", "wrods"), "there is no job wrods", "words")
        (job.folder / "dead-letters.sqlite").write_bytes(b"not a database" * 100)
        foreign = desk.run("dlq", "list", "words")
        assert foreign.code == 2
        assert is_one_message(foreign, "the dead-letter store", "is damaged")


def test_a_job_that_finds_a_store_of_another_version_fails_and_names_it(desk: Desk) -> None:
    with started(desk, count=1) as job:
        (job.folder / "dead-letters.sqlite").write_bytes(b"not a database" * 100)
        os.kill(job.pids()["work-0"], signal.SIGKILL)
        job.until_status("failed")
        assert "the dead-letter store" in desk.run("status", job.job).stdout


def test_a_letter_goes_by_the_flows_that_it_came_by_also_when_others_are_in_force(desk: Desk) -> None:
    with started(desk) as job:
        until_settled(job, 90, 10)
        assert desk.run("flows", "set", "words", "main=feed >> work").code == 0
        desk.write("mended", "")

        done = desk.run("dlq", "replay", "words")

        assert (done.code, done.stdout) == (0, "10 dead letters replayed\n"), done.stderr
        job.until(lambda: json.loads(desk.run("flows", "show", "words", "--json").stdout)["alive"] == [2])
        assert sorted(written(desk)) == list(range(100))


def test_a_version_that_is_over_needs_the_flows_of_now(desk: Desk) -> None:
    with started(desk) as job:
        until_settled(job, 90, 10)
        desk.write("mended", "")
        with letters_of(job).writing() as connection:
            connection.execute("UPDATE letters SET version = 9")

        refused = desk.run("dlq", "replay", "words")
        assert is_one_message(refused, "the version of the flows that they had is over", "--current-flows")
        done = desk.run("dlq", "replay", "words", "--current-flows")
        assert (done.code, done.stdout) == (0, "10 dead letters replayed\n"), done.stderr


SLOW = """
import time
from pathlib import Path

def start(args):
    if not Path("mended").exists():
        raise ConnectionError
    time.sleep(0.001 * 3)
    return args["streamInput"]["message"]["id"]
"""


def test_no_message_of_a_replay_is_lost_when_its_instances_are_killed(desk: Desk) -> None:
    count = 2_000
    with started(desk, SLOW, count=count) as job:
        until_settled(job, 0, count)
        letters = letters_of(job)
        desk.write("mended", "")
        with desk.started("dlq", "replay", "words", "--json") as replaying:
            for left in (1_800, 1_200, 600):
                job.until(lambda left=left: letters.count() < left)  # type: ignore[misc]  # mypy knows no such default
                for instance, pid in job.pids().items():
                    if instance.startswith("work"):
                        os.kill(pid, signal.SIGKILL)
            done = replaying.finish()
        assert (done.code, json.loads(done.stdout)["replayed"]) == (0, count), done.stderr

        assert desk.run("stop", "words").code == 0
        assert set(written(desk)) == set(range(count))
        assert letters.count() == 0
        assert job.status()["account"]["nodes"][1]["restarts"] >= 3


POISONED = f"""{WORK}
handle = start

def start(args):
    n = handle(args)
    if n == 50:
        __import__("os")._exit(9)
    return n
"""


def test_a_replayed_poison_is_dead_again_after_its_attempts_and_no_other_is(desk: Desk) -> None:
    with started(desk, POISONED, node="minStatelessCount: 1") as job:
        until_settled(job, 90, 10)
        desk.write("mended", "")

        done = desk.run("dlq", "replay", "words", "--json")

        assert (done.code, json.loads(done.stdout)["replayed"]) == (1, 9), done.stderr
        (poison,) = letters_of(job).find()
        assert (poison.letter.message, poison.letter.reason) == ({"id": 50}, "crash")
        assert desk.run("stop", "words").code == 0
        assert set(written(desk)) == set(range(100)) - {50}


@pytest.mark.parametrize(
    "death",
    [
        pytest.param("__import__('os')._exit(7)", id="exit"),
        pytest.param("__import__('ctypes').string_at(0)", id="segmentation fault"),
    ],
)
def test_of_10000_messages_and_a_poison_exactly_the_poison_is_a_dead_letter(desk: Desk, death: str) -> None:
    message = "args['streamInput']['message']['id']"
    desk.write("work.py", f"def start(args):\n    if {message} == 4711:\n        {death}\n    return {message}\n")
    desk.pipeline(
        "  - {nodeName: numbers, kind: source, spec: {connector: generator, count: 10001}}\n"
        "  - {nodeName: work, kind: algorithm, algorithmName: work, minStatelessCount: 2}\n"
        "  - {nodeName: out, kind: sink, spec: {connector: file, path: out.jsonl, format: jsonl}}\n",
        "{main: numbers >> work >> out}",
        "---\nname: work\ncode: {path: work.py}\n",
    )

    done = desk.run("run", "pipeline.yaml", "--json")

    assert (done.code, done.account["status"]) == (0, "completed"), done.stderr
    (poison,) = DeadLetters(desk.jobs()[0] / "dead-letters.sqlite").find()
    assert (poison.letter.message, poison.letter.reason, poison.letter.attempts) == ({"id": 4711}, "crash", 3)
    numbers: list[Any] = written(desk)
    assert set(numbers) == set(range(10_001)) - {4711}
    assert done.account["edges"][0]["dead_lettered"] == 1
    assert done.account["nodes"][1]["restarts"] == 3


def test_letters_are_replayed_by_the_owners_of_their_keys_also_while_these_change(desk: Desk) -> None:
    code = """
import time
from pathlib import Path

def start(args, api):
    counts = api.state.counter("counts")

    def on_message(message, origin):
        if not Path("mended").exists():
            raise ConnectionError("not yet")
        time.sleep(0.002)
        api.sendMessage([message["id"], counts.add(message["id"])])

    api.registerInputListener(on_message)
"""
    node = "stateType: stateful, partitionBy: id, minReplicas: 2, maxReplicas: 4"
    with started(desk, code, count=1_000, node=node) as job:
        job.until(lambda: letters_of(job).count() == 1_000)
        (desk.folder / "mended").touch()

        with desk.started("dlq", "replay", "words") as replay:
            for replicas in (4, 3, 2):
                assert desk.run("scale", "words", "work", replicas).code == 0
            assert replay.finish().code == 0

        assert letters_of(job).count() == 0
        assert desk.run("stop", "words").code == 0
    totals: list[Any] = written(desk)
    assert sorted(totals) == [[n, 1] for n in range(1_000)]
