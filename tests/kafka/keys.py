"""A key of a broker of tests, and the certificate by which its clients believe it: made by Java's own tool.

It is valid for a day and for 127.0.0.1 alone, so that a client that checks names finds it right.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.kafka.jars import KafkaUnavailableError


@dataclass(frozen=True)
class Keys:
    """`store` is what the broker has, and `certificate` (PEM) what its clients trust."""

    store: Path
    password: str
    certificate: Path


def keys_in(folder: Path) -> Keys:
    """New ones. Raises KafkaUnavailableError without Java."""
    keys = Keys(folder / "broker.p12", "of-the-store", folder / "broker.pem")
    of_store = ["-alias", "broker", "-keystore", str(keys.store), "-storepass", keys.password]
    made = ["-genkeypair", "-keyalg", "EC", "-validity", "1", "-dname", "CN=broker", "-ext", "san=ip:127.0.0.1"]
    made += ["-ext", "bc:critical=ca:true"]
    _keytool(*made, "-storetype", "PKCS12", *of_store)
    _keytool("-exportcert", "-rfc", "-file", str(keys.certificate), *of_store)
    return keys


def _keytool(*arguments: str) -> None:
    try:
        subprocess.run(["keytool", *arguments], check=True, capture_output=True)
    except FileNotFoundError as error:
        raise KafkaUnavailableError("keytool, which comes with Java, is not installed") from error
