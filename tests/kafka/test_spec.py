"""Settings of a connector: from its descriptor, a file and the environment, and no value of them in any message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streamer.errors import ConnectorError
from streamer.kafka.settings import KafkaSettings
from streamer.kafka.spec import settings_of

SECURITY = {"protocol": "SASL_SSL", "mechanism": "PLAIN", "username": "${ME}", "password": "${SECRET}"}
ENVIRONMENT = {"ME": "someone", "SECRET": "hunter2", "BROKER": "b:9093"}


def spec(**fields: Any) -> dict[str, Any]:
    return {"bootstrap": "a:9092", **fields}


def test_without_more_a_cluster_is_reached_in_the_clear() -> None:
    assert settings_of(spec(), {}) == KafkaSettings("a:9092")


def test_names_are_replaced_by_what_the_environment_says() -> None:
    found = settings_of(spec(bootstrap="a:9092,${BROKER}", security=SECURITY), ENVIRONMENT)

    assert (found.bootstrap, found.protocol) == ("a:9092,b:9093", "SASL_SSL")
    assert (found.user, found.password) == ("someone", "hunter2")
    assert "hunter2" not in repr(found)


def test_a_descriptor_comes_before_its_file_and_a_file_before_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "kafka.env"
    file.write_text("# of the test\n\nexport KAFKA_SASL_USERNAME='of the file'\nKAFKA_SSL_CAFILE=file.pem\n")
    environment = {**ENVIRONMENT, "KAFKA_SSL_CAFILE": "environment.pem", "KAFKA_SSL_CERTFILE": "environment.crt"}

    found = settings_of(spec(settings=str(file), security={**SECURITY, "username": "${ME}", "caFile": ""}), environment)
    of_file = settings_of(spec(settings=str(file)), environment)

    assert (found.user, found.ca_file, found.certificate_file) == ("someone", "file.pem", "environment.crt")
    assert of_file.user == "of the file"


def test_a_file_that_the_environment_names_gives_way_to_the_descriptor(tmp_path: Path) -> None:
    file = tmp_path / "kafka.env"
    file.write_text("KAFKA_SASL_USERNAME=nobody\nKAFKA_SSL_CAFILE=file.pem\n")

    found = settings_of(spec(security=SECURITY), {**ENVIRONMENT, "KAFKA_SETTINGS": str(file)})

    assert (found.user, found.ca_file) == ("someone", "file.pem")


def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(ConnectorError, match="A, B are not set where this instance runs"):
        settings_of(spec(bootstrap="${A}:1,${B}:2"), {})
    with pytest.raises(ConnectorError) as refused:
        settings_of(spec(security=SECURITY), {"ME": "someone"})

    assert str(refused.value) == "SECRET is not set where this instance runs"
    assert "environment" in refused.value.advice


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param(None, "cannot be read: No such file", id="no-file"),
        pytest.param(b"\xff", "cannot be read: it is not UTF-8", id="no-text"),
        pytest.param(b"KAFKA_SSL_CAFILE=a\nhunter2\n", "line 2 of the settings file", id="no-variable"),
        pytest.param(b"KAFKA_SETTINGS=other\n", "line 1 of the settings file", id="a-further-file"),
        pytest.param(b"PASSWORD=hunter2\n", "line 1 of the settings file", id="a-variable-of-another"),
    ],
)
def test_a_file_that_says_nothing_of_kafka_is_refused(tmp_path: Path, content: bytes | None, told: str) -> None:
    file = tmp_path / "kafka.env"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ConnectorError) as refused:
        settings_of(spec(settings=str(file)), {})

    assert told in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_what_is_wrong_in_the_variables_is_the_error_of_a_connector() -> None:
    with pytest.raises(ConnectorError, match="KAFKA_SECURITY_PROTOCOL is HTTPS"):
        settings_of(spec(), {"KAFKA_SECURITY_PROTOCOL": "HTTPS"})
