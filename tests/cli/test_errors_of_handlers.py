"""What a node's `onError` and `ttl` say, on real processes: retries, drops, the end of the job, deadlines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streamer.state.dead_letters import DeadLetters, KeptLetter
from tests.cli.command import Desk, Done


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    yield Desk(tmp_path)


def job(desk: Desk, code: str, node: str, count: int = 100) -> Done:
    """numbers >> work >> out, where `node` are further fields of work."""
    desk.write("work.py", code)
    desk.pipeline(
        f"  - {{nodeName: numbers, kind: source, spec: {{connector: generator, count: {count}}}}}\n"
        f"  - {{nodeName: work, kind: algorithm, algorithmName: work, {node}}}\n"
        "  - {nodeName: out, kind: sink, spec: {connector: file, path: out.jsonl, format: jsonl}}\n",
        "{main: numbers >> work >> out}",
        "---\nname: work\ncode: {path: work.py}\n",
    )
    done = desk.run("run", "pipeline.yaml", "--json")
    for edge in done.account["edges"]:
        ends = edge["settled"] + edge["dead_lettered"] + sum(edge["dropped"].values()) + edge["abandoned"]
        assert edge["sent"] == ends + edge["in_flight"]
    return done


def written(desk: Desk) -> list[Any]:
    return sorted(json.loads(line) for line in (desk.folder / "out.jsonl").read_text().splitlines())


def dead(desk: Desk) -> list[KeptLetter]:
    return DeadLetters(desk.jobs()[0] / "dead-letters.sqlite").find()


FLAKY = """
from collections import Counter
calls = Counter()

def start(args):
    n = args["streamInput"]["message"]["id"]
    calls[n] += 1
    if n % 10 == 0 and calls[n] <= 2:
        raise ConnectionError(f"{n} is not there")
    if n == 7:
        raise ValueError("seven")
    return n
"""


def test_what_fails_for_a_while_succeeds_and_what_always_fails_is_kept(desk: Desk) -> None:
    done = job(desk, FLAKY, "onError: {retry: {limit: 2, delay: 0.1}}")

    assert (done.code, done.account["status"]) == (0, "completed"), done.stderr
    assert written(desk) == [n for n in range(100) if n != 7]
    [kept] = dead(desk)
    assert (kept.letter.message, kept.letter.attempts, kept.letter.error) == ({"id": 7}, 3, "ValueError: seven")
    assert done.account["edges"][0]["dead_lettered"] == 1
    assert done.account["nodes"][1] == {"node": "work", "instances": 1, "restarts": 0, "received": 100, "failed": 1}


def test_the_retries_of_hkube_are_ours(desk: Desk) -> None:
    done = job(desk, FLAKY.replace("calls[n] <= 2", "calls[n] <= 1"), "retry: {policy: OnError, limit: 1}", count=20)

    assert done.code == 0, done.stderr
    assert [(kept.letter.message, kept.letter.attempts) for kept in dead(desk)] == [({"id": 7}, 2)]


def test_dropped_messages_stand_in_the_account_by_their_reason(desk: Desk) -> None:
    done = job(desk, FLAKY, "onError: {then: drop}")

    assert done.code == 0, done.stderr
    edge = done.account["edges"][0]
    assert (edge["dropped"], edge["dead_lettered"], edge["settled"]) == ({"handler": 11}, 0, 89)
    assert dead(desk) == []


def test_stop_fails_the_job_with_the_traceback_of_the_users_frames(desk: Desk) -> None:
    done = job(desk, FLAKY, "onError: {retry: {limit: 2, delay: 0.1}, then: stop}")

    assert (done.code, done.account["status"]) == (1, "failed"), done.stderr
    told = done.stderr[
        done.stderr.index("node work: the handler of instance work-0 has failed, and onError says: stop") :
    ]
    assert told.splitlines()[1] == "Traceback (most recent call last):"
    assert "work.py" in told.splitlines()[2]
    assert "ValueError: seven" in told
    assert "streamer/runtime" not in told
    edge = done.account["edges"][0]
    assert edge["in_flight"] >= 1 and dead(desk) == []

    status = desk.run("status", desk.jobs()[0].name)
    assert "onError says: stop" in status.stdout
    assert "ValueError: seven" in status.stdout


def test_an_error_of_the_api_is_told_with_the_users_frames_of_it_and_of_what_followed(desk: Desk) -> None:
    code = """
def root(api):
    api.sendMessage(object())

def start(args, api):
    try:
        root(api)
    except Exception as error:
        raise ValueError("not sent") from error
"""
    job(desk, code, "", count=1)
    [kept] = dead(desk)
    done = job(desk, code, "onError: {then: stop}", count=1)
    assert done.code == 1

    for told in (kept.letter.traceback, done.stderr[done.stderr.index("onError says: stop") :]):
        assert told.count("work.py") == 3 and "    root(api)\n" in told and "    api.sendMessage(object())\n" in told
        assert "ValueError: not sent" in told and "direct cause" in told
        assert "streamer/runtime" not in told and "msgpack/" not in told


def test_a_stateful_node_stops_its_job_too(desk: Desk) -> None:
    code = """
def start(args, api):
    def on_message(message, origin):
        if message["id"] == 7:
            raise ValueError("seven")
    api.registerInputListener(on_message)
    api.startMessageListening()
    args["never"] = __import__("threading").Event().wait(60)
"""
    done = job(desk, code, "stateType: stateful, onError: {then: stop}")

    assert (done.code, done.account["status"]) == (1, "failed"), done.stderr
    assert "ValueError: seven" in done.stderr
