"""Where a Kafka cluster is, and how to be let in.

They come from the environment, under the names that Kafka's own tools and images use, so that a pod, a shell and a
systemd unit set them alike, or from a file that it names; no secret stands in a descriptor or in a command that others
can list. What is shown of them never has a secret in it.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from streamer.errors import OptionError
from streamer.kafka import rebootstrap
from streamer.kafka.names import (
    CA_NAME,
    CERTIFICATE_NAME,
    KEY_NAME,
    KEY_PASSWORD_NAME,
    MECHANISM_NAME,
    MECHANISMS,
    PASSWORD_NAME,
    PREFIX_NAME,
    PROTOCOL_NAME,
    PROTOCOLS,
    USER_NAME,
)
from streamer.kafka.settings_file import with_file
from streamer.limits import KAFKA_PARTITIONS

PREFIX = "streamer"


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """`bootstrap` is one or more HOST:PORT, separated by commas. `partitions` counts where topics are made."""

    bootstrap: str
    prefix: str = PREFIX
    partitions: int = KAFKA_PARTITIONS
    protocol: str = "PLAINTEXT"
    mechanism: str = "PLAIN"
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    key_password: str | None = field(default=None, repr=False)

    def client(self) -> dict[str, Any]:
        """What every client of aiokafka is made with. Raises OptionError if a certificate cannot be used."""
        rebootstrap.enable()
        options: dict[str, Any] = {"bootstrap_servers": self.bootstrap, "security_protocol": self.protocol}
        if self.protocol.startswith("SASL"):
            options |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.user,
                "sasl_plain_password": self.password,
            }
        if self.protocol.endswith("SSL"):
            options["ssl_context"] = self._tls()
        return options

    def _tls(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.certificate_file:
                context.load_cert_chain(self.certificate_file, self.key_file, self.key_password)
        except (OSError, ssl.SSLError) as error:
            named = ", ".join(file for file in (self.ca_file, self.certificate_file, self.key_file) if file)
            raise OptionError(
                f"the certificates for Kafka cannot be used: {error} ({named or 'of this system'})",
                remedy=f"See that {CA_NAME}, {CERTIFICATE_NAME} and {KEY_NAME} name PEM files that this user may read.",
            ) from error
        return context


def from_environment(bootstrap: str, environment: Mapping[str, str]) -> KafkaSettings:
    """The settings of a cluster at these addresses; a file that the environment names comes before its other variables.

    Raises OptionError with all that is wrong.
    """
    environment = with_file(environment)
    findings = [*_addresses(bootstrap)]
    protocol = environment.get(PROTOCOL_NAME, "PLAINTEXT").upper()
    mechanism = environment.get(MECHANISM_NAME, "PLAIN").upper()
    if protocol not in PROTOCOLS:
        findings.append(f"{PROTOCOL_NAME} is {protocol}, and can be {', '.join(PROTOCOLS)}")
    if mechanism not in MECHANISMS:
        findings.append(f"{MECHANISM_NAME} is {mechanism}, and can be {', '.join(MECHANISMS)}")
    if protocol.startswith("SASL"):
        findings += [f"{name} is not set" for name in (USER_NAME, PASSWORD_NAME) if not environment.get(name)]
    if environment.get(KEY_NAME) and not environment.get(CERTIFICATE_NAME):
        findings.append(f"{KEY_NAME} is set, and {CERTIFICATE_NAME} is not")
    if findings:
        raise OptionError("; ".join(findings), remedy="Correct the address and the KAFKA_* variables named here.")
    return KafkaSettings(
        bootstrap=bootstrap,
        prefix=environment.get(PREFIX_NAME, PREFIX),
        protocol=protocol,
        mechanism=mechanism,
        user=environment.get(USER_NAME),
        password=environment.get(PASSWORD_NAME),
        ca_file=environment.get(CA_NAME),
        certificate_file=environment.get(CERTIFICATE_NAME),
        key_file=environment.get(KEY_NAME),
        key_password=environment.get(KEY_PASSWORD_NAME),
    )


def _addresses(bootstrap: str) -> list[str]:
    """What is wrong with the addresses."""
    wrong = []
    for address in bootstrap.split(","):
        host, colon, port = address.strip().rpartition(":")
        if not (host and colon and port.isdecimal() and 0 < int(port) < 65_536):
            wrong.append(f"{address.strip()!r} is no address of a Kafka broker: write HOST:PORT")
    return wrong
