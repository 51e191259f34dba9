"""The endpoint answers what was published last, on loopback, and refuses a port that is taken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from streamer.errors import PortError
from streamer.metrics.endpoint import Endpoint
from streamer.metrics.exposition import Observation
from streamer.metrics.samples import EdgeSample, InstanceSample, InstanceState

OBSERVATION = Observation(
    job="a1b2",
    pipeline="words",
    samples=tuple(
        InstanceSample(f"{node}-{index}", node, 1, InstanceState.RUNNING, edges=(EdgeSample("save"),))
        for node, index in (("parse", 0), ("parse", 1), ("job:x", 0))
    ),
    replicas={"parse": {"running": 2}, "job:x": {"running": 1}},
    desired={"parse": 2, "job:x": 1},
)


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


def page(endpoint: Endpoint, path: str) -> str:
    with urlopen(endpoint.url.replace("/metrics", quote(path))) as answer:
        text: str = answer.read().decode()
    return text


def targets(endpoint: Endpoint) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(page(endpoint, "/sd"))
    return found


def series(text: str) -> list[tuple[str, frozenset[tuple[str, str]]]]:
    return [
        (sample.name, frozenset(sample.labels.items()))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


def test_the_job_and_each_of_its_instances_are_targets_of_their_own(endpoint: Endpoint) -> None:
    endpoint.publish(OBSERVATION)
    address = [f"127.0.0.1:{port_of(endpoint)}"]

    job = {"job": "a1b2", "pipeline": "words"}
    assert targets(endpoint) == [
        {"targets": address, "labels": {"__metrics_path__": "/metrics/job", **job}},
        *(
            {
                "targets": address,
                "labels": {"__metrics_path__": f"/metrics/{instance}", **job, "node": node, "instance": instance},
            }
            for node, instance in (("parse", "parse-0"), ("parse", "parse-1"), ("job:x", "job:x-0"))
        ),
    ]
    with urlopen(endpoint.url.replace("/metrics", "/sd")) as answer:
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"


def test_through_the_targets_each_series_is_read_once_and_all_that_there_are(endpoint: Endpoint) -> None:
    endpoint.publish(OBSERVATION)

    pages = [series(page(endpoint, target["labels"]["__metrics_path__"])) for target in targets(endpoint)]

    assert all(pages)
    everything = [one for found in pages for one in found]
    assert len(everything) == len(set(everything))
    assert set(everything) == set(series(page(endpoint, "/metrics")))


def test_the_page_of_an_instance_has_the_labels_of_its_target(endpoint: Endpoint) -> None:
    endpoint.publish(OBSERVATION)

    for target in targets(endpoint)[1:]:
        labels = {name: value for name, value in target["labels"].items() if not name.startswith("__")}
        for _, found in series(page(endpoint, target["labels"]["__metrics_path__"])):
            assert labels.items() <= set(found)


def test_an_instance_that_has_gone_is_no_target_and_has_no_page(endpoint: Endpoint) -> None:
    endpoint.publish(OBSERVATION)
    endpoint.publish(Observation("a1b2", "words", OBSERVATION.samples[:1]))

    assert [target["labels"].get("instance") for target in targets(endpoint)] == [None, "parse-0"]
    with pytest.raises(HTTPError, match="404"):
        page(endpoint, "/metrics/parse-1")


def test_a_job_that_was_not_observed_yet_has_no_targets(endpoint: Endpoint) -> None:
    assert targets(endpoint) == []


@pytest.mark.parametrize("path", ["/secrets", "/metrics/", "/metrics/save-0", "/metrics/../etc/passwd", "/metrics/jo"])
def test_other_pages_do_not_exist(endpoint: Endpoint, path: str) -> None:
    endpoint.publish(OBSERVATION)
    with pytest.raises(HTTPError, match="404"):
        page(endpoint, path)


def test_a_port_in_use_is_refused_with_a_remedy(endpoint: Endpoint) -> None:
    with pytest.raises(PortError, match=str(port_of(endpoint))) as refused:
        Endpoint(port_of(endpoint))

    assert "another port" in refused.value.advice


def test_its_port_is_free_again_after_it() -> None:
    with closing(Endpoint()) as first:
        port = port_of(first)

    with closing(Endpoint(port)) as second:
        assert port_of(second) == port
