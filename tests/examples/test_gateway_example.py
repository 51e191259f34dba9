"""Example 04 does what its README says: tweets come in by HTTP and are sorted into two flows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from streamer.testing import kill, run
from tests.cli.command import Desk
from tests.examples.example import EXAMPLES, Outbox, load_algorithm

EXAMPLE = "04-gateway"


def post(url: str, body: bytes) -> tuple[int, Any]:
    try:
        with urlopen(Request(url, body, {"Content-Type": "application/json"})) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.parametrize(
    ("text", "goes_on", "sent"),
    [
        pytest.param("nice weather today", True, [], id="what is of no topic goes on"),
        pytest.param("Kafka again", False, ["analyze"], id="what is of a topic takes the other flow"),
        pytest.param("kafkaesque", True, [], id="part of a word is no topic"),
    ],
)
def test_a_tweet_takes_the_flow_of_its_topic(text: str, goes_on: bool, sent: list[str]) -> None:
    sort, api = load_algorithm(EXAMPLE, "sort"), Outbox()

    returned = sort.start({"input": [["kafka"]], "streamInput": {"message": {"text": text}}}, api)

    assert (returned is not None) == goes_on
    assert [flow for _, flow in api.sent] == sent


def test_tweets_are_sorted_also_while_instances_are_killed() -> None:
    tweets = [{"text": f"{'kafka' if n % 3 == 0 else 'weather'} {n}"} for n in range(60)]

    played = run(EXAMPLES / EXAMPLE, {"twitt": tweets}, failures=[kill("sort", 2, after=10), kill("A")])

    assert {tweet["text"] for tweet in played["A"]} == {tweet["text"] for tweet in tweets[::3]}
    assert len({tweet["text"] for tweet in played["B"]}) == 40


def test_a_tweet_without_a_text_goes_to_the_dead_letters() -> None:
    played = run(EXAMPLES / EXAMPLE, {"twitt": [{"txet": "kafka"}, {"text": "kafka"}]})

    assert played == {"A": [{"text": "kafka"}], "B": []}
    assert [letter.error for letter in played.dead_letters] == ["KeyError: 'text'"]


def test_tweets_that_are_answered_are_in_the_file_of_their_flow(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("*.jsonl", "__pycache__")
    folder = Path(shutil.copytree(EXAMPLES / EXAMPLE, tmp_path / "example", ignore=ignored))

    with Desk(folder).started("run", ".", "--json", "--set", "nodes.twitt.spec.port=null") as job:
        url = job.until(lambda line: line.startswith("gateway twitt  ")).split()[2]
        assert url.endswith("/hkube/gateway/twitt/streaming/message")
        for text in ("nice weather", "zeromq or kafka", "good night"):
            assert post(url, json.dumps({"text": text}).encode()) == (200, {"message": "OK"})
        in_files = {
            name: [json.loads(line)["text"] for line in (folder / f"{name}.jsonl").read_text().splitlines()]
            for name in ("rest", "analyze")
        }
        with urlopen(url.replace("/message", "/info")) as info:
            assert json.load(info)["defaultFlow"] == "master"
        assert post(f"{url}?flow=nowhere", b"{}")[0] == 404
        job.interrupt()
        done = job.finish()

    assert done.code == 0, done.stderr
    assert in_files == {"rest": ["nice weather", "good night"], "analyze": ["zeromq or kafka"]}
    assert {(edge["source"], edge["target"]): edge["settled"] for edge in done.account["edges"]} == {
        ("twitt", "sort"): 3,
        ("sort", "A"): 1,
        ("sort", "B"): 2,
    }
