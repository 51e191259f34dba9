"""`streamer state`: what the nodes of a job keep, while their instances are at work and after they have ended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from streamer import clock
from streamer.state.base import Checkpoint
from streamer.state.home import state_folder
from streamer.state.keyed import KeyedState
from streamer.state.sqlite import SqliteStateStore
from tests.cli.command import Desk, Done
from tests.cli.detached import is_one_message

PIPELINE = (
    "  - {nodeName: numbers, kind: source, spec: {connector: generator, count: 1}}\n"
    "  - {nodeName: count, algorithmName: count, stateType: stateless}\n"
    "  - {nodeName: out, kind: sink, spec: {connector: blackhole}}\n"
)
LATER_S = 4_000_000_000.0


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """With one job, which has ended."""
    desk = Desk(tmp_path_factory.mktemp("desk"))
    desk.write("count.py", "def start(args, api):\n    return args['streamInput']['message']\n")
    desk.pipeline(PIPELINE, "{main: numbers >> count >> out}", "---\nname: count\ncode: {path: count.py}\n")
    assert desk.run("run", "pipeline.yaml", "--json").code == 0
    return desk


@pytest.fixture(scope="module")
def job(desk: Desk) -> str:
    (folder,) = desk.jobs()
    return folder.name


@pytest.fixture(scope="module")
def folder(desk: Desk, job: str) -> Iterator[Path]:
    """The state of the node `count`, whose instance is at work."""
    folder = state_folder(desk.home / "jobs" / job, "count")
    with closing(SqliteStateStore(folder, "count", "count-0", 1)) as store:
        state = KeyedState(store, clock.wall)
        counts, last = state.counter("counts"), state.value("last")
        events, fields = state.list("events"), state.map("fields")
        for key, n in [("a", 3), ("größe", 1), (5, 50), ("5", 55), ("6", 66), (("t", 1), 2), (None, 7), (b"\0\1", 8)]:
            counts.add(key, n)
        last["a"] = {"x": [1, b"\xff"]}
        state.value("brief", ttl_s=LATER_S)["a"] = "later"
        events.extend("a", ["first", "second", {"third": 3}])
        events.append("b", "other")
        for field, value in [("x", 1), ("y", None), (2, "two")]:
            fields.put("a", field, value)
        store.commit(Checkpoint(state.take_dirty()))
        with closing(SqliteStateStore(folder, "count", "count-1", 1, wall=lambda: 0.0)) as past:
            expired = KeyedState(past, lambda: 0.0)
            expired.value("brief", ttl_s=5.0)["gone"] = "gone"
            past.commit(Checkpoint(expired.take_dirty()))
        counts.add("a", 1_000)  # is not committed
        yield folder


def shown(done: Done) -> list[str]:
    assert done.code == 0, done.stderr
    assert not done.stderr
    return done.stdout.splitlines()


def documents(done: Done) -> list[dict[str, Any]]:
    return [json.loads(line) for line in shown(done)]


@pytest.mark.usefixtures("folder")
class TestListing:
    def test_the_states_of_all_nodes_are_listed(self, desk: Desk, job: str) -> None:
        heading, *lines = shown(desk.run("state", "ls", job))

        assert heading.split() == ["node", "state", "kind", "keys", "bytes"]
        assert [line.split()[:4] for line in lines] == [
            ["count", "counts", "counter", "8"],
            ["count", "last", "value", "1"],
            ["count", "events", "list", "2"],
            ["count", "fields", "map", "1"],
            ["count", "brief", "value", "1"],
        ]

    def test_they_are_an_array_of_json(self, desk: Desk, job: str) -> None:
        (line,) = shown(desk.run("state", "ls", job, "count", "--json"))
        rows = json.loads(line)

        assert rows[0] == {"node": "count", "state": "counts", "kind": "counter", "keys": 8, "bytes": 32}
        assert [row["state"] for row in rows] == ["counts", "last", "events", "fields", "brief"]

    def test_a_node_without_state_has_nothing_to_list(self, desk: Desk, job: str) -> None:
        assert json.loads(desk.run("state", "ls", job, "out", "--json").stdout) == []


@pytest.mark.usefixtures("folder")
class TestGetting:
    @pytest.mark.parametrize(
        ("arguments", "value"),
        [
            pytest.param(["counts", "a"], "3", id="a plain word"),
            pytest.param(["counts", '"a"'], "3", id="a text as JSON"),
            pytest.param(["counts", "größe"], "1", id="any characters"),
            pytest.param(["counts", "5"], "50", id="a number"),
            pytest.param(["counts", '"5"'], "55", id="a text that looks like a number"),
            pytest.param(["counts", "6"], "66", id="a number that is only there as a text"),
            pytest.param(["counts", '["t", 1]'], "2", id="a tuple"),
            pytest.param(["counts", "null"], "7", id="the key of the whole node"),
            pytest.param(["counts", '{"$base64": "AAE="}'], "8", id="bytes"),
            pytest.param(["last", "a"], '{"x":[1,{"$base64":"/w=="}]}', id="a value"),
            pytest.param(["events", "a"], '["first","second",{"third":3}]', id="a list"),
            pytest.param(["events", "a", "1"], '"second"', id="an element"),
            pytest.param(["fields", "a"], '{"2":"two","x":1,"y":null}', id="a map"),
            pytest.param(["fields", "a", "x"], "1", id="a field"),
            pytest.param(["fields", "a", "2"], '"two"', id="a field that is a number"),
        ],
    )
    def test_a_key_shows_its_value(self, arguments: list[str], value: str, desk: Desk, job: str) -> None:
        assert shown(desk.run("state", "get", job, "count", *arguments)) == [value]

    def test_without_a_key_all_are_shown(self, desk: Desk, job: str) -> None:
        lines = shown(desk.run("state", "get", job, "count", "events"))

        assert lines == ['"a"\t["first","second",{"third":3}]', '"b"\t["other"]']

    def test_each_is_a_line_of_json(self, desk: Desk, job: str) -> None:
        assert documents(desk.run("state", "get", job, "count", "events", "--json")) == [
            {"group": 0, "key": "a", "value": ["first", "second", {"third": 3}], "expires": None},
            {"group": 0, "key": "b", "value": ["other"], "expires": None},
        ]
        (brief,) = documents(desk.run("state", "get", job, "count", "brief", "a", "--json"))
        assert (brief["key"], brief["value"]) == ("a", "later")
        assert brief["expires"] > LATER_S

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            pytest.param(["out", "counts"], ["node out of job", "has no state"], id="a node without state"),
            pytest.param(["cuont", "counts"], ["no node cuont", "did you mean count"], id="no node"),
            pytest.param(["count", "count"], ["no state count", "did you mean counts"], id="no state"),
            pytest.param(["count", "counts", "b"], ["nothing for key b", "shows all keys"], id="no key"),
            pytest.param(["count", "brief", "gone"], ["nothing for key gone"], id="a key that has expired"),
            pytest.param(["count", "counts", '{"a": 1}'], ["nothing for key"], id="what is no key"),
            pytest.param(["count", "counts", '{"$base64": "!"}'], ["nothing for key"], id="no bytes"),
            pytest.param(["count", "fields", "a", "z"], ["nothing for field z of key a"], id="no field"),
            pytest.param(["count", "events", "a", "3"], ["nothing for field 3 of key a"], id="no element"),
            pytest.param(["count", "events", "a", "x"], ["'x' is no place in a list"], id="no place"),
            pytest.param(["count", "counts", "a", "x"], ["is a counter, and has no fields"], id="a field of none"),
        ],
    )
    def test_what_is_not_there_is_told(self, arguments: list[str], words: list[str], desk: Desk, job: str) -> None:
        done = desk.run("state", "get", job, *arguments)

        assert is_one_message(done, *words), done


@pytest.mark.usefixtures("folder")
class TestExporting:
    def test_every_entry_is_a_line_of_json(self, desk: Desk, job: str) -> None:
        found = documents(desk.run("state", "export", job, "count"))

        assert len(found) == 8 + 1 + 1 + 4 + 3
        assert {"state": "counts", "kind": "counter", "group": 0, "key": "a", "field": None, "value": 3,
                "expires": None} in found  # fmt: skip
        assert [(one["key"], one["field"], one["value"]) for one in found if one["state"] == "events"] == [
            ("a", 0, "first"),
            ("a", 1, "second"),
            ("a", 2, {"third": 3}),
            ("b", 0, "other"),
        ]
        assert [(one["field"], one["value"]) for one in found if one["state"] == "fields"] == [
            (2, "two"),
            ("x", 1),
            ("y", None),
        ]

    def test_one_state_can_be_exported_alone(self, desk: Desk, job: str) -> None:
        found = documents(desk.run("state", "export", job, "count", "--name", "last", "--json"))

        assert [one["value"] for one in found] == [{"x": [1, {"$base64": "/w=="}]}]
        assert is_one_message(desk.run("state", "export", job, "count", "--name", "lost"), "no state lost")


def test_looking_at_a_state_that_nobody_has_open_leaves_it_as_it_is(desk: Desk, job: str) -> None:
    closed = state_folder(desk.home / "jobs" / job, "out")
    with closing(SqliteStateStore(closed, "out", "out-0", 1)) as store:
        assert desk.run("state", "ls", job, "out", "--json").stdout == "[]\n"
        state = KeyedState(store, clock.wall)
        state.counter("counts").add("a", 3)
        store.commit(Checkpoint(state.take_dirty()))

    assert shown(desk.run("state", "get", job, "out", "counts")) == ['"a"\t3']

    with closing(SqliteStateStore(closed, "out", "out-0", 2)) as store:
        assert KeyedState(store, clock.wall).counter("counts").add("a") == 4


def test_a_damaged_state_is_told(desk: Desk, job: str) -> None:
    damaged = state_folder(desk.home / "jobs" / job, "numbers")
    damaged.mkdir(parents=True)
    (damaged / "state.sqlite").write_text("a text of mine\n" * 100)

    for command in (["ls"], ["get", "count"], ["export"]):
        verb, *more = command
        done = desk.run("state", verb, job, "numbers", *more)

        assert is_one_message(done, f"{damaged / 'state.sqlite'} is damaged"), done
