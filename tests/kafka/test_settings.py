"""Settings of a Kafka cluster: all findings at once, and no secret in anything that is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.errors import OptionError
from streamer.kafka.settings import KafkaSettings, from_environment

SASL = {
    "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
    "KAFKA_SASL_MECHANISM": "scram-sha-256",
    "KAFKA_SASL_USERNAME": "me",
    "KAFKA_SASL_PASSWORD": "secret-word",
}


def test_without_any_variable_nothing_is_encrypted() -> None:
    assert from_environment("a:9092,b:9093", {}) == KafkaSettings("a:9092,b:9093")


def test_variables_say_how_to_be_let_in() -> None:
    client = from_environment("a:9092", SASL).client()

    assert client == {
        "bootstrap_servers": "a:9092",
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_plain_username": "me",
        "sasl_plain_password": "secret-word",
    }


def test_a_file_that_the_environment_names_comes_before_its_other_variables(tmp_path: Path) -> None:
    file = tmp_path / "kafka.env"
    file.write_text("KAFKA_SASL_PASSWORD=word-of-the-file\n")

    found = from_environment("a:9092", {**SASL, "KAFKA_SETTINGS": str(file)})

    assert (found.user, found.password) == ("me", "word-of-the-file")


def test_a_settings_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"the settings file .*none\.env cannot be read: No such file"):
        from_environment("a:9092", {"KAFKA_SETTINGS": str(tmp_path / "none.env")})


def test_no_secret_is_shown() -> None:
    settings = from_environment("a:9092", {**SASL, "KAFKA_SSL_PASSWORD": "of-the-key"})

    assert "secret-word" not in repr(settings)
    assert "of-the-key" not in str(settings)


def test_all_findings_are_told_at_once() -> None:
    wrong = {"KAFKA_SECURITY_PROTOCOL": "sasl_tls", "KAFKA_SASL_MECHANISM": "MD5", "KAFKA_SSL_KEYFILE": "key.pem"}

    with pytest.raises(OptionError) as refusal:
        from_environment("localhost,:9092,a:port", wrong)

    for words in (
        "'localhost' is no address",
        "':9092' is no address",
        "'a:port' is no address",
        "KAFKA_SECURITY_PROTOCOL is SASL_TLS",
        "KAFKA_SASL_MECHANISM is MD5",
        "KAFKA_SSL_CERTFILE is not",
    ):
        assert words in str(refusal.value)


def test_sasl_needs_a_name_and_a_password() -> None:
    with pytest.raises(OptionError, match="KAFKA_SASL_USERNAME is not set; KAFKA_SASL_PASSWORD is not set"):
        from_environment("a:9092", {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"})


def test_a_certificate_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    none = tmp_path / "none.pem"
    settings = from_environment("a:9092", {"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_CAFILE": str(none)})

    with pytest.raises(OptionError, match=r"none\.pem"):
        settings.client()
