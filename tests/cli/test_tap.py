"""`streamer tap` on detached jobs: what it shows, when it ends, and that the job does not notice."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Desk, Watched
from tests.cli.detached import PASS, Detached, detached, is_one_message
from tests.conftest import Tell

NODES = (
    "  - {nodeName: numbers, kind: source, spec: {connector: generator, rate: %s, count: %s}}\n"
    "  - {nodeName: pass, algorithmName: pass, stateType: stateless, minStatelessCount: 2, maxStatelessCount: 4}\n"
    "  - {nodeName: save, kind: sink, delivery: %s, spec: {connector: file, path: out.jsonl, format: jsonl}}\n"
    "  - {nodeName: idle, kind: sink, spec: {connector: blackhole}}\n"
)
FLOW = "{main: numbers >> pass >> save, never: pass >> idle}, defaultFlow: main"
ALGORITHM = "---\nname: pass\ncode: {path: pass.py}\n"
ENDLESS = 10_000_000


def pipeline(
    desk: Desk, *, rate: int = 2000, count: int = ENDLESS, delivery: str = "at-least-once", code: str = PASS
) -> None:
    desk.pipeline(NODES % (rate, count, delivery), FLOW, ALGORITHM)
    desk.write("pass.py", code)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Jobs that a test leaves behind are ended."""
    desk = Desk(tmp_path)
    pipeline(desk)
    yield desk
    for row in json.loads(desk.run("ps", "--json").stdout or "[]"):
        desk.run("stop", row["job"], "--now")


@pytest.fixture(scope="module")
def at_work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Detached]:
    """A job that tests look at, and change nothing of."""
    desk = Desk(tmp_path_factory.mktemp("desk"))
    pipeline(desk, rate=500)
    yield detached(desk)
    desk.run("stop", "words", "--now")


def messages(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def ends_well(job: Detached, tell: Tell, shown: int) -> bool:
    """Drain the job: every message is in the sink, once, and the account says so."""
    account = job.desk.run("stop", job.job, "--json").account
    ids = [json.loads(line)["id"] for line in (job.desk.folder / "out.jsonl").read_text().splitlines()]
    first, *_ = account["edges"]
    tell(f"{shown} messages shown; {first['sent']} sent, {len(set(ids))} in the sink, {len(ids)} lines")
    for edge in account["edges"]:
        assert (edge["settled"], edge["redelivered"], edge["dropped"]) == (edge["sent"], 0, {}), edge
    return account["status"] == "stopped" and sorted(ids) == list(range(first["sent"]))


@pytest.mark.parametrize("edge", ["numbers:pass", "pass:save"])
@pytest.mark.parametrize("option", [(), ("--json",)], ids=["plain", "json"])
def test_so_many_messages_of_the_edge_are_shown_as_lines_of_json(
    at_work: Detached, edge: str, option: tuple[str, ...]
) -> None:
    done = at_work.desk.run("tap", "words", edge, "-n", 10, *option)

    found = messages(done.stdout)
    assert (done.code, done.stderr, len(found)) == (0, "", 10)
    assert all(list(message) == ["id"] for message in found)
    assert len({message["id"] for message in found}) == 10


def test_watched_by_slow_stopped_and_killed_taps_a_job_loses_and_repeats_nothing(desk: Desk, tell: Tell) -> None:
    job = detached(desk)
    with desk.started("tap", job.job, "numbers:pass") as never_read, desk.started("tap", job.job, "pass:save") as tap:
        os.kill(never_read.process.pid, signal.SIGSTOP)
        seen = [json.loads(line)["id"] for line in lines(tap, 3000)]
        tap.process.kill()
        before = sent(job)
        job.until(lambda: sent(job) > before + 2000)
        assert ends_well(job, tell, len(seen))

    assert len(set(seen)) == 3000


def lines(tap: Watched, count: int) -> Iterator[str]:
    assert tap.process.stdout is not None
    for _ in range(count):
        yield tap.process.stdout.readline()


def sent(job: Detached) -> int:
    found: int = job.status()["account"]["edges"][0]["sent"]
    return found


def test_an_edge_that_is_not_faster_than_the_tap_is_shown_whole_and_in_order(at_work: Detached) -> None:
    shown = messages(at_work.desk.run("tap", "words", "numbers:pass", "-n", 1000).stdout)

    first = shown[0]["id"]
    assert [message["id"] for message in shown] == list(range(first, first + 1000))


def test_ctrl_c_ends_it_in_order(at_work: Detached) -> None:
    with at_work.desk.started("tap", "words", "pass:save") as tap:
        assert len(list(lines(tap, 5))) == 5
        tap.interrupt()
        done = tap.finish()

    assert (done.code, done.stderr) == (0, "")


def test_a_reader_that_has_enough_ends_it_quietly(at_work: Detached) -> None:
    with at_work.desk.started("tap", "words", "pass:save") as tap:
        assert len(list(lines(tap, 1))) == 1
        assert tap.process.stdout is not None
        tap.process.stdout.close()
        assert tap.process.wait(timeout=30) == 0
        assert tap.process.stderr is not None
        assert tap.process.stderr.read() == ""


def test_a_reader_that_has_gone_is_noticed_though_nothing_passes(at_work: Detached) -> None:
    with at_work.desk.started("tap", "words", "pass:idle") as tap:
        assert tap.process.stdout is not None
        tap.process.stdout.close()
        assert tap.process.wait(timeout=30) == 0


def test_the_end_of_the_job_ends_it_and_the_last_message_is_shown(desk: Desk) -> None:
    pipeline(desk, rate=50)  # nobody reads while the job is stopped, and a full pipe makes a tap miss what passes
    job = detached(desk)
    with desk.started("tap", job.job, "pass:save", "-n", ENDLESS) as tap:
        list(lines(tap, 1))
        account = desk.run("stop", job.job, "--json").account
        done = tap.finish()

    assert (done.code, done.stderr) == (0, f"job {job.job} is stopped\n")
    assert account["edges"][1]["sent"] - 1 in {message["id"] for message in messages(done.stdout)}

    again = desk.run("tap", job.job, "pass:save")
    assert is_one_message(again, job.job, "stopped", "streamer ps")


def test_it_survives_the_death_of_an_instance_a_takeover_and_replicas_that_come_and_go(desk: Desk) -> None:
    pipeline(desk, rate=200)
    job = detached(desk)
    with desk.started("tap", job.job, "pass:save") as tap:
        list(lines(tap, 100))
        for pid in [pid for name, pid in job.pids().items() if name.startswith("pass-")]:
            os.kill(pid, signal.SIGKILL)
        job.until(lambda: job.status()["account"]["nodes"][1]["restarts"] == 2 and job.ps()["status"] == "running")
        newest = sent(job)
        until_newer(tap, newest)
        job.kill_supervisor()
        until_newer(tap, sent(job))
        job.until(lambda: bool(job.supervisors()))
        assert desk.run("scale", job.job, "pass", 4).code == 0
        assert desk.run("scale", job.job, "pass", 2).code == 0
        until_newer(tap, sent(job))
        tap.interrupt()
        assert tap.finish().code == 0


def until_newer(tap: Watched, number: int) -> None:
    """Read on until a message comes that was sent later."""
    while json.loads(next(lines(tap, 1)))["id"] <= number:
        pass


def test_whatever_a_message_holds_has_a_form_in_json_also_where_nothing_is_settled(desk: Desk) -> None:
    pipeline(
        desk,
        rate=100,
        delivery="at-most-once",
        code="def start(args, api):\n"
        "    number = args['streamInput']['message']['id']\n"
        "    if number % 2:\n"
        "        return {'small': b'abc', 'text': '\\u05d0'}\n"
        "    return {'large': bytes(200_000)}\n",
    )
    job = detached(desk)
    found = messages(desk.run("tap", job.job, "pass:save", "-n", 20).stdout)

    small = [message for message in found if "small" in message]
    large = [message["large"]["$base64"] for message in found if "large" in message]
    assert small and large and len(small) + len(large) == 20
    assert all(message == {"small": {"$base64": "YWJj"}, "text": "\u05d0"} for message in small)
    assert {len(text) for text in large} == {266_668}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(("wordz", "numbers:pass"), ("no job wordz", "words"), id="a job that there is not"),
        pytest.param(("words", "number:pass"), ("no node number", "numbers"), id="a source that there is not"),
        pytest.param(("words", "numbers:pas"), ("no node pas", "pass"), id="a target that there is not"),
        pytest.param(
            ("words", "numbers:save"), ("no edge numbers:save", "numbers:pass"), id="an edge that there is not"
        ),
        pytest.param(("words", "pass:numbers"), ("no edge pass:numbers", "pass:save"), id="the other way round"),
        pytest.param(("words", "numbers"), ("numbers", "SOURCE:TARGET"), id="no edge"),
        pytest.param(("words", "numbers:pass", "-n", "0"), ("-n",), id="no number of messages"),
    ],
)
def test_bad_input_is_one_message_and_changes_nothing(
    at_work: Detached, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    before = at_work.ps()

    done = at_work.desk.run("tap", *arguments)

    assert is_one_message(done, *words), done
    assert at_work.ps() == before
