"""Jobs from end to end, by the command alone: what a script reads, and what a person sees, in order or not."""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from streamer.state.dead_letters import DeadLetters
from tests.cli.command import Desk

COUNT = "  - {nodeName: numbers, kind: source, spec: {connector: generator, count: 100}}\n"
ENDLESS = "  - {nodeName: numbers, kind: source, spec: {connector: generator, rate: 200}}\n"
PASS = "  - {nodeName: pass, algorithmName: pass, stateType: stateless}\n"
BLACKHOLE = "  - {nodeName: gone, kind: sink, spec: {connector: blackhole}}\n"
STDOUT = "  - {nodeName: out, kind: sink, spec: {connector: stdout, format: jsonl}}\n"
ALGORITHM = "---\nname: pass\ncode: {path: pass.py}\n"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def balanced(edge: dict[str, Any]) -> bool:
    ends = edge["settled"] + edge["dead_lettered"] + sum(edge["dropped"].values())
    return bool(edge["sent"] == ends + edge["abandoned"] + edge["in_flight"])


def test_json_is_one_line_in_the_form_of_the_contract(desk: Desk) -> None:
    desk.pipeline(COUNT + BLACKHOLE, "{main: numbers >> gone}")

    done = desk.run("run", "pipeline.yaml", "--json")

    account = done.account
    assert done.code == 0, done.stderr
    assert list(account) == ["job", "pipeline", "status", "duration_s", "edges", "nodes"]
    assert (account["pipeline"], account["status"]) == ("words", "completed")
    assert account["edges"] == [
        {
            "source": "numbers",
            "target": "gone",
            "sent": 100,
            "settled": 100,
            "dead_lettered": 0,
            "dropped": {},
            "abandoned": 0,
            "in_flight": 0,
            "redelivered": 0,
        }
    ]
    assert account["nodes"] == [
        {"node": "numbers", "instances": 1, "restarts": 0, "received": 100, "failed": 0},
        {"node": "gone", "instances": 1, "restarts": 0, "received": 100, "failed": 0},
    ]
    assert [job.name for job in desk.jobs()] == [account["job"]]


def test_without_json_the_account_is_a_table_on_stdout(desk: Desk) -> None:
    desk.pipeline(COUNT + BLACKHOLE, "{main: numbers >> gone}")

    done = desk.run("run", "pipeline.yaml")

    words = [line.split() for line in done.stdout.splitlines()]
    assert done.code == 0, done.stderr
    assert words[0] == ["job", "pipeline", "status", "duration_s"]
    assert words[4] == ["numbers", "gone", "100", "100", "0", "0", "0", "0", "0"]
    assert "metrics  http://127.0.0.1:" in done.stderr
    assert f"logs     {desk.jobs()[0] / 'logs'}" in done.stderr


def test_records_have_stdout_for_themselves(desk: Desk) -> None:
    desk.pipeline(COUNT + STDOUT, "{main: numbers >> out}")

    done = desk.run("run", "pipeline.yaml")

    assert done.code == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == [{"id": n} for n in range(100)]
    assert "duration_s" in done.stderr


def test_with_json_records_give_way_to_the_document(desk: Desk) -> None:
    desk.pipeline(COUNT + STDOUT, "{main: numbers >> out}")

    done = desk.run("run", "pipeline.yaml", "--json")

    assert done.account["status"] == "completed"
    assert '{"id": 99}' in done.stderr.replace('"id":99', '"id": 99')


def test_stdin_is_read_to_its_end(desk: Desk) -> None:
    desk.pipeline(
        "  - {nodeName: lines, kind: source, spec: {connector: stdin, format: text}}\n" + STDOUT, "{main: lines >> out}"
    )

    done = desk.run("run", "pipeline.yaml", text="one\ntwo\nlast")

    assert (done.code, done.stdout.splitlines()) == (0, ['"one"', '"two"', '"last"']), done.stderr


def test_ctrl_c_drains_and_the_job_has_stopped_in_order(desk: Desk) -> None:
    desk.pipeline(ENDLESS + STDOUT, "{main: numbers >> out}")

    with desk.started("run", "pipeline.yaml", "--json") as job:
        job.until(lambda line: '"id"' in line)
        job.interrupt()
        job.until(lambda line: line.startswith("draining"))
        done = job.finish()

    assert done.code == 0, done.stderr
    assert done.account["status"] == "stopped"
    assert done.account["edges"][0]["in_flight"] == 0
    assert balanced(done.account["edges"][0])


def test_sigterm_drains_as_ctrl_c_does(desk: Desk) -> None:
    desk.pipeline(ENDLESS + STDOUT, "{main: numbers >> out}")

    with desk.started("run", "pipeline.yaml", "--json") as job:
        job.until(lambda line: '"id"' in line)
        job.process.send_signal(signal.SIGTERM)
        done = job.finish()

    assert (done.code, done.account["status"]) == (0, "stopped")


def test_a_second_ctrl_c_ends_at_once(desk: Desk) -> None:
    desk.pipeline(ENDLESS + PASS + BLACKHOLE, "{main: numbers >> pass >> gone}", ALGORITHM)
    desk.write("pass.py", "import time\ndef start(args, api):\n    print('stuck', flush=True)\n    time.sleep(3600)\n")

    with desk.started("run", "pipeline.yaml", "--json") as job:
        job.until(lambda line: line == "pass pass-0 | stuck\n")
        job.interrupt()
        job.until(lambda line: line.startswith("draining"))
        job.interrupt()
        done = job.finish()

    assert (done.code, done.account["status"]) == (1, "stopped")
    assert all(balanced(edge) for edge in done.account["edges"])
    assert done.account["edges"][0]["in_flight"] > 0


def test_for_drains_after_its_time(desk: Desk) -> None:
    desk.pipeline(ENDLESS + BLACKHOLE, "{main: numbers >> gone}")

    done = desk.run("run", "pipeline.yaml", "--json", "--for", "4500ms")  # a start under load can take some of it

    assert (done.code, done.account["status"]) == (0, "stopped"), done.stderr
    assert 4.5 <= done.account["duration_s"] < 30
    assert done.account["edges"][0]["settled"] > 0


def test_set_and_input_change_the_job(desk: Desk) -> None:
    desk.pipeline(
        COUNT
        + "  - {nodeName: pass, algorithmName: pass, stateType: stateless, input: ['@flowInput.greeting']}\n"
        + STDOUT,
        "{main: numbers >> pass >> out}",
        ALGORITHM,
    )
    desk.write("pass.py", "def start(args, api):\n    return args['input'][0]\n")

    done = desk.run(
        "run", "pipeline.yaml", "--input", "greeting=hello", "--set", "nodes.numbers.spec.count=2",
        "--set", "nodes.pass.minStatelessCount=2",
    )  # fmt: skip

    assert (done.code, done.stdout.splitlines()) == (0, ['"hello"', '"hello"']), done.stderr
    assert any(line.split() == ["pass", "2", "0", "2", "0"] for line in done.stderr.splitlines())


def test_what_an_algorithm_prints_is_told_with_its_instance_and_kept_in_its_log(desk: Desk) -> None:
    desk.pipeline(COUNT + PASS + BLACKHOLE, "{main: numbers >> pass >> gone}", ALGORITHM)
    desk.write("pass.py", "def init(args):\n    print('hello from init')\ndef start(args, api):\n    return 1\n")

    done = desk.run("run", "pipeline.yaml", "--json")

    assert done.code == 0, done.stderr
    assert "pass pass-0 | hello from init\n" in done.stderr
    assert "hello from init\n" in (desk.jobs()[0] / "logs" / "pass-0.log").read_text()


def test_a_message_whose_handler_raises_is_dead_lettered_and_the_job_goes_on(desk: Desk) -> None:
    desk.pipeline(COUNT + PASS + BLACKHOLE, "{main: numbers >> pass >> gone}", ALGORITHM)
    desk.write("pass.py", "def start(args, api):\n    return 1 / (args['streamInput']['message']['id'] - 7)\n")

    done = desk.run("run", "pipeline.yaml", "--json")

    into, out_of = done.account["edges"]
    assert (done.code, into["dead_lettered"], out_of["sent"]) == (0, 1, 99), done.stderr
    assert done.account["nodes"][1]["failed"] == 1
    (folder,) = desk.jobs()
    assert f"dead letters: 1 (streamer dlq list {folder.name})" in done.stderr
    (kept,) = DeadLetters(folder / "dead-letters.sqlite").find()
    assert "ZeroDivisionError" in kept.letter.error


def test_a_crash_loop_fails_the_job_and_names_the_node(desk: Desk) -> None:
    desk.pipeline(COUNT + PASS + BLACKHOLE, "{main: numbers >> pass >> gone}", ALGORITHM)
    desk.write("pass.py", "import os\ndef init(args):\n    os._exit(9)\ndef start(args, api):\n    return 1\n")

    done = desk.run("run", "pipeline.yaml", "--json")

    assert (done.code, done.account["status"]) == (1, "failed"), done.stderr
    assert done.account["nodes"][1]["restarts"] == 4
    assert "node pass: an instance died and is started again" in done.stderr
    assert "node pass: instance pass-0 died 5 times in a row" in done.stderr
    assert done.stderr.splitlines()[-1].endswith(f"streamer resume {done.account['job']}")


def test_metrics_are_served_at_the_address_that_is_printed(desk: Desk) -> None:
    desk.pipeline(ENDLESS + STDOUT, "{main: numbers >> out}")

    with desk.started("run", "pipeline.yaml", "--json") as job:
        url = job.until(lambda line: "metrics" in line).split()[1]
        job.until(lambda line: line.replace(" ", "") == '{"id":200}\n')  # a second of messages: all have reported
        with urlopen(url) as answer:
            text = answer.read().decode()
        job.interrupt()
        done = job.finish()

    assert done.code == 0
    running = f'{{job="{done.account["job"]}",node="numbers",pipeline="words",state="running"}} 1.0'
    assert f"streamer_replicas{running}" in text
    assert 'streamer_messages_sent_total{instance="numbers-0"' in text
    assert 'streamer_end_to_end_seconds_bucket{flow="main",instance="out-0"' in text


def test_a_port_in_use_is_bad_input(desk: Desk) -> None:
    desk.pipeline(COUNT + BLACKHOLE, "{main: numbers >> gone}")

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = desk.run("run", "pipeline.yaml", "--json", "--metrics-port", port)

    assert (done.code, done.stdout) == (2, "")
    assert f"127.0.0.1:{port}" in done.stderr
    assert desk.jobs() == []


BAD_INPUT = {
    "an empty file": ("", "", "pipeline.yaml, line 1, document: the file is empty"),
    "text that is not YAML": ("name: [\n", "", "pipeline.yaml, line 2, document: "),
    "a pipeline of kind batch": (
        "name: sums\nnodes:\n  - {nodeName: a, algorithmName: pass}\n" + ALGORITHM,
        "def start(args):\n    return 1\n",
        "batch pipelines do not run yet",
    ),
    "a source file that does not exist": (
        "name: words\nkind: stream\nnodes:\n"
        "  - {nodeName: lines, kind: source, spec: {connector: file, path: nowhere.log}}\n"
        + BLACKHOLE
        + "streaming: {flows: {main: lines >> gone}}\n",
        "",
        "nowhere.log",
    ),
    "an algorithm that does not import": (
        "name: words\nkind: stream\nnodes:\n"
        + COUNT
        + PASS
        + "streaming: {flows: {main: numbers >> pass}}\n"
        + ALGORITHM,
        "import nowhere_at_all\ndef start(args, api):\n    return 1\n",
        "ModuleNotFoundError: No module named 'nowhere_at_all'\nnode pass: ",
    ),
}


@pytest.mark.parametrize(
    ("descriptor", "code", "message"), [pytest.param(*case, id=i) for i, case in BAD_INPUT.items()]
)
def test_bad_input_is_told_and_changes_nothing(desk: Desk, descriptor: str, code: str, message: str) -> None:
    desk.write("pipeline.yaml", descriptor)
    desk.write("pass.py", code)
    before = sorted(desk.folder.rglob("*"))

    done = desk.run("run", "pipeline.yaml", "--json")

    assert (done.code, done.stdout) == (2, ""), done.stderr
    assert message in done.stderr
    assert "streamer/cli" not in done.stderr
    assert sorted(path for path in desk.folder.rglob("*") if "__pycache__" not in path.parts) == before
