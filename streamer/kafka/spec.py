"""The settings that a connector's spec means, found where and when its instance starts.

A descriptor is kept in logs and shown to whoever asks, so what it holds of a cluster may be the name of a variable of
the environment, and of a secret it can be nothing else. What it leaves out comes from a file, and what that leaves out
from the KAFKA_* variables of the instance: the same names in both, so that a file is a way to set them. No message
here has a value in it that came by a name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streamer.errors import ConnectorError, OptionError
from streamer.kafka import names
from streamer.kafka.settings import KafkaSettings, from_environment
from streamer.kafka.settings_file import variables_of, with_file

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_VARIABLES = {
    "protocol": names.PROTOCOL_NAME,
    "mechanism": names.MECHANISM_NAME,
    "username": names.USER_NAME,
    "password": names.PASSWORD_NAME,
    "caFile": names.CA_NAME,
    "certFile": names.CERTIFICATE_NAME,
    "keyFile": names.KEY_NAME,
    "keyPassword": names.KEY_PASSWORD_NAME,
}


def settings_of(spec: Mapping[str, Any], environment: Mapping[str, str]) -> KafkaSettings:
    """What `bootstrap`, `security` and the file `settings` of a spec say. Raises ConnectorError."""
    said = {_VARIABLES[field]: resolved(text, environment) for field, text in spec.get("security", {}).items() if text}
    try:
        of_file = variables_of(Path(spec["settings"])) if "settings" in spec else {}
        return from_environment(resolved(spec["bootstrap"], environment), {**with_file(environment), **of_file, **said})
    except OptionError as error:
        raise ConnectorError(str(error), remedy=error.advice) from error


def resolved(text: str, environment: Mapping[str, str]) -> str:
    """The text with the values of the variables that it names. Raises ConnectorError if some are not set."""
    if missing := sorted(name for name in set(_REFERENCE.findall(text)) if name not in environment):
        raise ConnectorError(
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set where this instance runs",
            remedy="Set what the spec names by ${...} in the environment of whoever starts the instances.",
        )
    return _REFERENCE.sub(lambda found: environment[found[1]], text)
