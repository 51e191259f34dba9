"""Algorithms in every form that users write, each in a job of real processes, with a kill where it matters."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest

from streamer.state.dead_letters import DeadLetters
from tests.cli.command import Desk, Done


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def job(desk: Desk, text: str, *, count: int, more: str = "stateType: stateless", source: str = "") -> Done:
    """numbers >> work >> out, where `work` runs the file of this text and `out` is out.jsonl."""
    desk.write("work.py", textwrap.dedent(text))
    desk.pipeline(
        f"  - {{nodeName: numbers, kind: source, spec: {{connector: generator, count: {count}{source}}}}}\n"
        f"  - {{nodeName: work, kind: algorithm, algorithmName: work, {more}}}\n"
        "  - {nodeName: out, kind: sink, spec: {connector: file, path: out.jsonl, format: jsonl}}\n",
        "{main: numbers >> work >> out}",
        "---\nname: work\ncode: {path: work.py}\n",
    )
    done = desk.run("run", "pipeline.yaml", "--json")
    assert done.code == 0, done.stderr
    for edge in done.account["edges"]:
        ends = edge["settled"] + edge["dead_lettered"] + sum(edge["dropped"].values()) + edge["abandoned"]
        assert edge["sent"] == ends + edge["in_flight"]
    return done


def written(desk: Desk) -> list[Any]:
    return [json.loads(line) for line in (desk.folder / "out.jsonl").read_text().splitlines()]


def dead(desk: Desk) -> list[Any]:
    (file,) = desk.home.glob("jobs/*/dead-letters.sqlite")
    return [kept.letter.message for kept in DeadLetters(file).find()]


def test_a_generator_makes_many_messages_of_one(desk: Desk) -> None:
    job(
        desk,
        """
        def start(args, api):
            n = args["streamInput"]["message"]["id"]
            for k in range(3):
                yield [n, k]
        """,
        count=1000,
    )

    assert written(desk) == [[n, k] for n in range(1000) for k in range(3)]


def test_of_a_batch_that_kills_its_process_three_times_only_the_guilty_message_is_given_up(desk: Desk) -> None:
    done = job(
        desk,
        """
        import os, signal

        def onMessages(messages):
            numbers = [message["id"] for message in messages]
            if 57 in numbers:
                os.kill(os.getpid(), signal.SIGKILL)
            return numbers
        """,
        count=300,
    )

    assert {*written(desk)} == {*range(300)} - {57}
    assert dead(desk) == [{"id": 57}]
    assert done.account["nodes"][1]["restarts"] == 3


CONCURRENT = "stateType: stateless, concurrency: 50"


def test_async_handlers_overlap_in_one_process(desk: Desk) -> None:
    done = job(
        desk,
        """
        import asyncio

        async def start(args):
            await asyncio.sleep(0.1)
            return args["streamInput"]["message"]["id"]
        """,
        count=1000,
        more=CONCURRENT,
    )

    assert {*written(desk)} == {*range(1000)}
    assert done.account["duration_s"] < 1000 * 0.1 / 10
    assert done.account["nodes"][1]["restarts"] == 0


def test_what_was_in_hand_at_a_kill_is_handled_again_and_one_that_kills_three_times_is_given_up(desk: Desk) -> None:
    done = job(
        desk,
        """
        import asyncio, os, signal

        async def start(args, api):
            n = args["streamInput"]["message"]["id"]
            api.sendMessage(n)
            await asyncio.sleep(0.01)
            if n == 157:
                os.kill(os.getpid(), signal.SIGKILL)
        """,
        count=500,
        more=CONCURRENT,
    )

    assert {*written(desk)} == {*range(500)} - {157}
    assert dead(desk) == [{"id": 157}]
    assert done.account["nodes"][1]["restarts"] == 3


def test_async_listeners_of_a_stateful_node_run_beside_its_start(desk: Desk) -> None:
    job(
        desk,
        """
        import asyncio

        def start(args, api):
            async def on_message(message, origin):
                await asyncio.sleep(0.05)
                api.sendMessage([message["id"], origin])

            api.registerInputListener(on_message)
            api.startMessageListening()
        """,
        count=300,
        more="stateType: stateful, concurrency: 100",
    )

    assert sorted(written(desk)) == [[n, "numbers"] for n in range(300)]


def test_what_was_held_at_a_kill_is_handled_again(desk: Desk) -> None:
    done = job(
        desk,
        """
        import os, signal
        from concurrent.futures import ThreadPoolExecutor
        from pathlib import Path

        pool = ThreadPoolExecutor(4)
        killed = Path("killed")

        def finish(hold, n):
            if n == 50 and not killed.exists():
                killed.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            hold.sendMessage(n)
            hold.settle()

        def start(args, api):
            pool.submit(finish, api.hold(), args["streamInput"]["message"]["id"])
        """,
        count=200,
    )

    assert {*written(desk)} == {*range(200)}
    assert done.account["nodes"][1]["restarts"] == 1


def test_headers_go_with_a_message_and_with_what_is_sent_for_it(desk: Desk) -> None:
    desk.write(
        "mark.py",
        textwrap.dedent(
            """
            def start(args, api):
                n = args["streamInput"]["message"]["id"]
                api.sendMessage(n, headers={"odd": bool(n % 2)} if n % 3 else None)
            """
        ),
    )
    desk.write("pass.py", 'def start(args): return args["streamInput"]["message"]\n')
    desk.write("show.py", 'def start(args, api): return [args["streamInput"]["message"], api.headers]\n')
    desk.pipeline(
        "  - {nodeName: numbers, kind: source, spec: {connector: generator, count: 1000}}\n"
        "  - {nodeName: mark, kind: algorithm, algorithmName: mark, stateType: stateless, minStatelessCount: 2}\n"
        "  - {nodeName: pass, kind: algorithm, algorithmName: pass, stateType: stateless}\n"
        "  - {nodeName: show, kind: algorithm, algorithmName: show, stateType: stateless}\n"
        "  - {nodeName: out, kind: sink, spec: {connector: file, path: out.jsonl, format: jsonl}}\n",
        "{main: numbers >> mark >> pass >> show >> out}",
        "".join(f"---\nname: {name}\ncode: {{path: {name}.py}}\n" for name in ("mark", "pass", "show")),
    )

    done = desk.run("run", "pipeline.yaml", "--json")

    assert done.code == 0, done.stderr
    assert sorted(written(desk)) == [[n, {"odd": bool(n % 2)} if n % 3 else {}] for n in range(1000)]


@pytest.mark.parametrize("kill", [False, True])
def test_large_payloads_arrive_whole_also_after_a_kill(desk: Desk, kill: bool) -> None:
    desk.write(
        "check.py",
        textwrap.dedent(
            f"""
            import os, signal
            from pathlib import Path

            def start(args):
                message = args["streamInput"]["message"]
                n, data, numbers = message["n"], message["data"], message["numbers"]
                if n == 17 and {kill} and not Path("killed").exists():
                    Path("killed").touch()
                    os.kill(os.getpid(), signal.SIGKILL)
                if n == 23:
                    raise ValueError("twenty-three")
                assert type(data) is bytes and data == bytes([n]) * (1_000_000 + n)
                assert numbers.tolist() == [n] * 50_000
                return n
            """
        ),
    )
    desk.write(
        "make.py",
        textwrap.dedent(
            """
            from array import array

            def start(args):
                n = args["streamInput"]["message"]["id"]
                return {"n": n, "data": bytes([n]) * (1_000_000 + n), "numbers": array("d", [n]) * 50_000}
            """
        ),
    )
    desk.pipeline(
        "  - {nodeName: numbers, kind: source, spec: {connector: generator, count: 60}}\n"
        "  - {nodeName: make, kind: algorithm, algorithmName: make, stateType: stateless}\n"
        "  - {nodeName: check, kind: algorithm, algorithmName: check, stateType: stateless, minStatelessCount: 2}\n"
        "  - {nodeName: out, kind: sink, spec: {connector: file, path: out.jsonl, format: jsonl}}\n",
        "{main: numbers >> make >> check >> out}",
        "".join(f"---\nname: {name}\ncode: {{path: {name}.py}}\n" for name in ("make", "check")),
    )

    done = desk.run("run", "pipeline.yaml", "--json")

    assert done.code == 0, done.stderr
    assert {*written(desk)} == {*range(60)} - {23}
    assert [message["n"] for message in dead(desk)] == [23]
    assert sum(node["restarts"] for node in done.account["nodes"]) == kill
