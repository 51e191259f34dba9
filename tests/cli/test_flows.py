"""`flows show` and `flows set`: other ways for the messages of a job that goes on, whatever dies meanwhile."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streamer.cli.flows import change_flows
from streamer.connectors.generator import GeneratorSource
from streamer.errors import FlowsError
from streamer.limits import FLOW_VERSIONS_MAX
from streamer.protocol.identity import origin_of
from tests.cli.command import Desk
from tests.cli.detached import Detached, detached, is_one_message, pids_with
from tests.conftest import Tell
from tests.turns import by_share, turns

CHANGES = 100
KILL_EVERY = 8
"""An instance is killed after so many changes, and the supervising process once, half way."""
PATIENCE_S = 30.0
NODES = (
    "  - {nodeName: numbers, kind: source, spec: {connector: generator, rate: %s, count: 10000000}}\n"
    "  - {nodeName: first, algorithmName: first, stateType: stateless, minStatelessCount: 2}\n"
    "  - {nodeName: second, algorithmName: second, stateType: stateless}\n"
    "  - {nodeName: out, kind: sink, spec: {connector: file, path: out.jsonl, format: jsonl}}\n"
    "  - {nodeName: rest, kind: sink, spec: {connector: file, path: rest.jsonl, format: jsonl}}\n"
)
ALGORITHMS = "---\nname: first\ncode: {path: first.py}\n---\nname: second\ncode: {path: second.py}\n"
MARKS = (
    "def start(args, api):\n"
    "    message = args['streamInput']['message']\n"
    "    return {**message, 'way': message.get('way', '') + '%s'}\n"
)
"""Each node leaves its letter on a message, so that a message tells its way."""
FLOWS = {
    "numbers >> first >> second >> out": {("out", "fs")},
    "numbers >> second >> first >> out": {("out", "sf")},
    "numbers >> first & second >> out": {("out", "f"), ("out", "s")},
    "numbers >> first >> rest | numbers >> second >> out": {("rest", "f"), ("out", "s")},
    "numbers >> first >> second >> first >> out": {("out", "fsf")},
    "numbers >> out & rest": {("out", ""), ("rest", "")},
}
"""Flows, and what of each message comes into which sink. Together they have a cycle, and a sink is idle at times."""
FIRST = next(iter(FLOWS))
INSTANCES = ("numbers-0", "first-0", "first-1", "second-0", "out-0", "rest-0")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    for name in ("first", "second"):
        desk.write(f"{name}.py", MARKS % name[0])
    yield desk
    for row in json.loads(desk.run("ps", "--json").stdout or "[]"):
        desk.run("stop", row["job"], "--now")


def going_on(desk: Desk, *, rate: int) -> Detached:
    desk.pipeline(NODES % rate, f"{{main: {FIRST}}}", ALGORITHMS)
    return detached(desk)


def shown(job: Detached) -> dict[str, Any]:
    done = job.desk.run("flows", "show", job.job, "--json")
    assert done.code == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def ways(desk: Desk) -> tuple[dict[int, set[tuple[str, str]]], int]:
    """By message, the sinks and ways that are seen of it; and the number of lines."""
    found: dict[int, set[tuple[str, str]]] = {}
    lines = 0
    for sink in ("out", "rest"):
        path = desk.folder / f"{sink}.jsonl"
        for line in path.read_text().splitlines() if path.exists() else ():
            message = json.loads(line)
            found.setdefault(message["id"], set()).add((sink, message.get("way", "")))
            lines += 1
    return found, lines


def newest(desk: Desk) -> set[tuple[str, str]]:
    """The sinks and ways of the last message that is seen."""
    found, _ = ways(desk)
    return found[max(found)] if found else set()


def changed(job: Detached, text: str) -> int:
    """Set the flow; gives how often it was told that too many versions are alive."""
    deadline, refused = time.monotonic() + PATIENCE_S, 0
    while True:
        try:
            assert change_flows(job.job, [f"main={text}"], "", as_json=True) == 0
        except FlowsError as error:
            assert f"{FLOW_VERSIONS_MAX} versions" in str(error), error
            assert time.monotonic() < deadline, error
            refused += 1
        else:
            return refused


def killed(job: Detached, instance: str) -> int:
    """Kill an instance; gives how many processes of it there were, none while it is being started again."""
    pids = pids_with(str(job.folder / "instances" / instance / "assignment.json"))
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return len(pids)


def test_flows_change_a_hundred_times_under_load_and_kills_and_no_message_is_lost_or_goes_two_ways(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tell: Tell
) -> None:
    monkeypatch.setenv("STREAMER_HOME", str(desk.home))
    job = going_on(desk, rate=600)
    chance, began, kills, refused, flow = random.Random(4), time.monotonic(), 0, 0, FIRST
    for number in range(1, CHANGES + 1):
        flow = chance.choice([text for text in FLOWS if text != flow])
        refused += changed(job, flow)
        if number == CHANGES // 2:
            job.kill_supervisor()
        elif number % KILL_EVERY == 0:
            kills += killed(job, chance.choice(INSTANCES))
    took_s = time.monotonic() - began
    assert shown(job)["version"] == CHANGES + 1
    capsys.readouterr()

    done = desk.run("stop", job.job, "--json")

    account = json.loads(done.stdout)
    seen, lines = ways(desk)
    read = next(node["received"] for node in account["nodes"] if node["node"] == "numbers")
    tell(
        f"{CHANGES} changes in {took_s:.1f} s, {kills} instances and 1 supervisor killed, {refused} refusals; "
        f"{read} messages, {lines} lines, {sum(edge['redelivered'] for edge in account['edges'])} redelivered, "
        f"{len({frozenset(way) for way in seen.values()})} of {len(FLOWS)} ways taken"
    )
    assert done.code == 0, done.stderr
    assert sum(node["restarts"] for node in account["nodes"]) == kills
    assert not (job.folder / "dead-letters.sqlite").exists()
    for edge in account["edges"]:
        assert (edge["in_flight"], edge["dead_lettered"], edge["dropped"]) == (0, 0, {}), edge
        assert edge["sent"] == edge["settled"] + edge["abandoned"], edge
    assert set(seen) == set(range(read)), "a message is lost"
    assert [way for way in seen.values() if way not in FLOWS.values()] == [], "a message took no version's way whole"


def test_what_is_shown_is_what_is_in_force_with_all_versions_that_are_alive(desk: Desk) -> None:
    job = going_on(desk, rate=100)
    before = shown(job)
    assert list(before) == [
        "job", "pipeline", "version", "default", "flows", "alive", "canary", "versions", "instances",
    ]  # fmt: skip
    assert (before["job"], before["pipeline"]) == (job.job, "words")
    assert (before["version"], before["default"], before["flows"]) == (1, "main", {"main": FIRST})

    done = desk.run("flows", "set", "words", "side = first >> rest", "--json")

    assert done.code == 0, done.stderr
    flows = {"main": FIRST, "side": "first >> rest"}
    assert json.loads(done.stdout) == {
        "job": job.job, "version": 2, "default": "main", "flows": flows, "percent": 100.0,
    }  # fmt: skip
    job.until(lambda: shown(job)["alive"] == [2])
    everyone = {instance: {"version": 2, "knows": 2} for instance in INSTANCES}
    job.until(lambda: shown(job)["instances"] == everyone)
    text = desk.run("flows", "show", job.job).stdout
    assert f"version  2\ndefault  main\n\nflow  text\nmain  {FIRST}\nside  first >> rest\n" in text
    assert re.search(r"\n +1  over +\S+Z  descriptor\n +2  in force +\S+Z  set\n", text)
    assert re.search(r"\nnumbers-0 +2 +2\n", text)

    done = desk.run("flows", "set", "words", "main=", "--default", "side", "side=numbers >> rest")
    assert (done.code, done.stdout.splitlines()[0]) == (0, "version 3 of the flows is in force, default side")
    assert shown(job)["flows"] == {"side": "numbers >> rest"}

    again = desk.run("flows", "set", "words", "side=numbers>>rest", "--json")
    assert again.code == 0
    assert "like this already" in again.stderr
    assert json.loads(again.stdout)["version"] == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(("nothing", f"main={FIRST}"), ("no job nothing",), id="no job"),
        pytest.param(("wrods", f"main={FIRST}"), ("no job wrods", "did you mean words?"), id="nearest job"),
        pytest.param(("words", "main=numbers >> frist >> out"), ('"frist"', "Did you mean first?"), id="no node"),
        pytest.param(("words", "mian="), ('"mian" is not a flow', "Did you mean main?"), id="no flow"),
        pytest.param(("words", "--default", "mian"), ('"mian" is not a flow', "Did you mean main?"), id="no default"),
        pytest.param(("words", "main=first >> out"), ("cannot be stateless",), id="stateless entry"),
        pytest.param(("words", "a=out >> rest", "b=numbers >>"), ("sink node", '"numbers"'), id="all at once"),
        pytest.param(("words", "numbers >> out"), ("is no flow", "NAME='A >> B'"), id="no name"),
        pytest.param(("words", "a=numbers >> out", "a=numbers >> rest"), ("given twice",), id="twice"),
        pytest.param(("words",), ("no flow is given",), id="nothing"),
        pytest.param(("words", "--percent", "101"), ("--percent 101 is no share",), id="no share"),
        pytest.param(("words", "--percent", "0.001"), ("at most two digits",), id="too small a share"),
        pytest.param(("words", "--percent", "10"), ("no version of the flows is a canary",), id="no canary"),
    ],
)
def test_what_cannot_be_is_told_in_one_message_and_nothing_has_changed(
    going: Detached, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    done = going.desk.run("flows", "set", *arguments)

    assert is_one_message(done, *words), done.stderr
    assert shown(going)["version"] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param((), ("version 1 is the first one", "nothing to go back to"), id="the first"),
        pytest.param(("--to", "3"), ("version 3 of the flows is not known",), id="unknown"),
    ],
)
def test_a_rollback_to_nothing_is_told_so(going: Detached, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    assert is_one_message(going.desk.run("flows", "rollback", "words", *arguments), *words)
    assert shown(going)["version"] == 1


def test_a_promotion_without_a_canary_says_what_is_in_force(going: Detached) -> None:
    done = going.desk.run("flows", "promote", "words", "--json")
    assert (done.code, json.loads(done.stdout)["version"]) == (0, 1)
    assert "no version of the flows of job" in done.stderr


@pytest.fixture(scope="module")
def going(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Detached]:
    """One job for all tests that change nothing."""
    desk = Desk(tmp_path_factory.mktemp("going"))
    for name in ("first", "second"):
        desk.write(f"{name}.py", MARKS % name[0])
    job = going_on(desk, rate=10)
    yield job
    desk.run("stop", job.job, "--now")


def test_the_flows_of_a_job_in_the_foreground_change_too_and_its_account_has_all_edges_that_ever_were(
    desk: Desk,
) -> None:
    desk.pipeline(NODES % 200, f"{{main: {FIRST}}}", ALGORITHMS)
    with desk.started("run", "pipeline.yaml", "--json") as command:
        job = Detached(desk, command.until(lambda line: line.startswith("job ")).split()[1])
        job.until(lambda: job.job in desk.run("ps").stdout)
        asked = desk.run("flows", "set", job.job, "main=numbers >> second >> rest")
        assert asked.code == 0, asked.stderr
        job.until(lambda: newest(desk) == {("rest", "s")})
        command.interrupt()
        done = command.finish()

    assert done.code == 0, done.stderr
    edges = {(edge["source"], edge["target"]): edge for edge in done.account["edges"]}
    assert edges.keys() >= {("numbers", "first"), ("second", "out"), ("numbers", "second"), ("second", "rest")}
    assert all(edge["sent"] == edge["settled"] for edge in edges.values())
    assert edges["second", "rest"]["sent"] > 0
    refused = desk.run("flows", "set", done.account["job"], f"main={FIRST}")
    assert is_one_message(refused, "its flows stay as they are")


# -- canaries ----------------------------------------------------------------------------------------------------------

STEP = 320
"""Records between two changes of the share."""


def lines_in(desk: Desk) -> int:
    return (desk.folder / "out.jsonl").read_bytes().count(b"\n")


def share(job: Detached, *arguments: str) -> dict[str, Any]:
    """Change the flows; gives what is told, once so many more records have come into the sink."""
    done = job.desk.run("flows", *arguments, "--json")
    assert done.code == 0, done.stderr
    before = lines_in(job.desk)
    job.until(lambda: lines_in(job.desk) >= before + STEP)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_a_canary_takes_exactly_its_share_by_the_records_ids_whatever_is_killed_until_it_is_rolled_back(
    desk: Desk, tell: Tell
) -> None:
    second = "main=numbers >> second >> first >> out"
    job = going_on(desk, rate=400)

    told = share(job, "set", "words", second, "--percent", "10")
    assert (told["version"], told["percent"]) == (2, 10.0)
    now = shown(job)
    assert (now["version"], now["alive"], now["flows"]) == (1, [1, 2], {"main": FIRST})
    assert now["canary"] == {"version": 2, "percent": 10.0, "default": "main", "flows": told["flows"]}
    assert killed(job, "numbers-0") == 1
    job.kill_supervisor()
    assert share(job, "set", "words", "--percent", "50")["percent"] == 50.0
    assert killed(job, "first-0") + killed(job, "numbers-0") == 2
    back = share(job, "rollback", "words")
    assert (back["version"], back["flows"]) == (3, {"main": FIRST})
    states = [(one["version"], one["state"], one["origin"], one["to"]) for one in shown(job)["versions"]]
    assert [state[0::2] for state in states] == [(1, "descriptor"), (2, "set"), (3, "rollback")]
    assert states[2] == (3, "in force", "rollback", 1)
    assert share(job, "set", "words", second, "--percent", "50")["version"] == 4
    assert share(job, "promote", "words")["version"] == 4
    assert desk.run("stop", job.job).code == 0

    seen, _ = ways(desk)
    taken = [2 if seen[n] == FLOWS["numbers >> second >> first >> out"] else 1 for n in range(len(seen))]
    assert all(seen[n] in (FLOWS[FIRST], FLOWS[second.partition("=")[2]]) for n in seen), "a record went two ways"
    origin = origin_of("numbers", GeneratorSource.partition, 0)
    tenth, half = (by_share(origin, percent, len(seen), canary=2, other=1) for percent in (10, 50))
    first, last = [1] * len(seen), [2] * len(seen)
    turns(taken, first, tenth, half, first, half, last)
    tell(f"{len(seen)} records, {taken.count(2)} of them by the canary's flows; each as its id says")
