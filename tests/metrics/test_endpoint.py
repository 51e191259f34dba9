"""The endpoint answers what was published last, on loopback, and refuses a port that is taken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from streamer.errors import PortError
from streamer.metrics.endpoint import Endpoint
from streamer.metrics.exposition import Observation


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with closing(Endpoint()) as served:
        yield served


def port_of(endpoint: Endpoint) -> int:
    return int(endpoint.url.split(":")[2].split("/")[0])


def test_it_serves_the_last_observation(endpoint: Endpoint) -> None:
    endpoint.publish(Observation("old", "words", desired={"parse": 1}))
    endpoint.publish(Observation("new", "words", desired={"parse": 2}))

    with urlopen(endpoint.url) as answer:
        text = answer.read().decode()

    assert 'streamer_replicas_desired{job="new",node="parse",pipeline="words"} 2.0' in text
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


def test_it_is_empty_before_the_first_observation(endpoint: Endpoint) -> None:
    with urlopen(endpoint.url) as answer:
        assert answer.read() == b""


def test_it_names_itself_as_the_target_of_its_job(endpoint: Endpoint) -> None:
    endpoint.publish(Observation("a1b2", "words"))

    with urlopen(endpoint.url.replace("/metrics", "/sd")) as answer:
        found = json.load(answer)

    assert found == [{"targets": [f"127.0.0.1:{port_of(endpoint)}"], "labels": {"job": "a1b2", "pipeline": "words"}}]
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"


def test_a_job_without_a_name_yet_is_a_target_all_the_same(endpoint: Endpoint) -> None:
    with urlopen(endpoint.url.replace("/metrics", "/sd")) as answer:
        assert json.load(answer) == [{"targets": [f"127.0.0.1:{port_of(endpoint)}"], "labels": {}}]


def test_other_pages_do_not_exist(endpoint: Endpoint) -> None:
    with pytest.raises(HTTPError, match="404"):
        urlopen(endpoint.url.replace("metrics", "secrets"))


def test_a_port_in_use_is_refused_with_a_remedy(endpoint: Endpoint) -> None:
    with pytest.raises(PortError, match=str(port_of(endpoint))) as refused:
        Endpoint(port_of(endpoint))

    assert "another port" in refused.value.advice


def test_its_port_is_free_again_after_it() -> None:
    with closing(Endpoint()) as first:
        port = port_of(first)

    with closing(Endpoint(port)) as second:
        assert port_of(second) == port
