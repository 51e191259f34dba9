"""What is wrong with a cluster or a topic is told before a job is made, with the address and what was tried."""

from __future__ import annotations

import pytest

from streamer.connectors.kafka.look import kafka_problems
from streamer.connectors.registry import problems
from streamer.plan.assignment import Connector, Role
from tests.kafka.broker import bootstrap
from tests.kafka.cluster import free_ports
from tests.kafka.old_broker import KAFKA_0_10, old_broker
from tests.kafka.topic import Topic


def test_topics_that_are_there_are_no_problem() -> None:
    topic = Topic(bootstrap())
    spec = {"bootstrap": topic.bootstrap, "topics": [topic.name]}

    assert problems(Connector("kafka", spec), Role.SOURCE) == []


def test_a_topic_that_is_not_there_is_told_with_the_nearest_name() -> None:
    topic = Topic(bootstrap())
    (found,) = kafka_problems({"bootstrap": topic.bootstrap, "topic": f"{topic.name}s"})

    assert found == (
        f"Kafka at {topic.bootstrap}: there is no topic '{topic.name}s' that this user may see. "
        f"Did you mean {topic.name}? Make it first, or correct the spec."
    )


def test_an_address_where_nobody_listens_is_told() -> None:
    ((port, _),) = free_ports(1)
    (found,) = kafka_problems({"bootstrap": f"127.0.0.1:{port}", "topic": "results"})

    assert f"Kafka at 127.0.0.1:{port} (PLAINTEXT) cannot be used" in found
    assert "Connect call failed" in found
    assert "See that a broker of Kafka 2.1 or later listens at this address" in found


def test_a_broker_that_is_too_old_is_told() -> None:
    with old_broker(KAFKA_0_10) as address:
        (found,) = kafka_problems({"bootstrap": address, "topic": "results"})

    assert f"Kafka at {address} (PLAINTEXT) cannot be used: its brokers are too old" in found
    assert "Kafka 2.1 or later" in found


def test_a_broker_that_hangs_up_may_be_too_old_to_say_so() -> None:
    with old_broker(None) as address:
        (found,) = kafka_problems({"bootstrap": address, "topic": "results"})

    assert f"Connection at {address} closed). See that a broker of Kafka 2.1 or later listens at this address" in found


def test_a_variable_that_is_not_set_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_CLUSTER", raising=False)

    (of_cluster,) = kafka_problems({"bootstrap": "${NO_SUCH_CLUSTER}", "topic": "results"})
    (of_group,) = kafka_problems({"bootstrap": "a:1", "topics": ["orders"], "group": "${NO_SUCH_CLUSTER}"})

    assert of_cluster == of_group
    assert of_cluster.startswith("NO_SUCH_CLUSTER is not set where this instance runs. Set ")


def test_without_the_package_the_remedy_is_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamer.connectors.registry.find_spec", lambda _name: None)

    (found,) = problems(Connector("kafka", {}), Role.SINK)

    assert found == (
        "connector kafka needs the package aiokafka, which is not installed. "
        "Install the extra: pip install 'streamer[kafka]'."
    )
