"""What the fields of a Kafka source or sink may hold, as far as a descriptor can say it.

A descriptor goes into logs and onto screens, so a secret in it is a mistake that is told before anything keeps it: only
the name of a variable may stand there, which the instance looks up at its start. Any other field may be such a name
too, and then cannot be judged here.
"""

from __future__ import annotations

import re

from streamer.descriptor.document import Value
from streamer.descriptor.finding import quote
from streamer.descriptor.rules import MismatchError, expected, text
from streamer.kafka import limits

FORMATS = ("json", "text", "msgpack", "raw")
STARTS = ("earliest", "latest")

_VARIABLE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_TOPIC = re.compile(r"[-._A-Za-z0-9]{1,249}")
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:]+\]|[^\s:,\[\]]+):([0-9]{1,5})")


def addresses(value: Value) -> str:
    """One or more HOST:PORT, separated by commas; or with a `${NAME}` in it."""
    found = text(what="addresses of brokers")(value)
    for address in found.split(","):
        match = _ADDRESS.fullmatch(address.strip())
        if not _VARIABLE.search(found) and (match is None or not 0 < int(match[2]) < 65_536):
            raise MismatchError(
                f"{quote(address.strip())} is no address of a Kafka broker",
                "Write HOST:PORT, several with commas between, or ${NAME} for a variable of the environment.",
            )
    return found


def topic(value: Value) -> str:
    found = text(what="the name of a topic")(value)
    if not _TOPIC.fullmatch(found) or found in (".", ".."):
        raise MismatchError(
            f"{quote(found)} is not the name of a topic", "Use at most 249 letters, digits and - _ . only."
        )
    return found


def topics(value: Value) -> Value:
    """One, or a list of different ones."""
    found: list[Value] = [topic(one) for one in (value if isinstance(value, list) else [value])]
    if not found or len(set(map(str, found))) != len(found):
        raise expected("a list of different topics", value)
    if len(found) > limits.TOPICS_MAX:
        raise MismatchError(f"{len(found)} topics are too many for one node", f"Name at most {limits.TOPICS_MAX}.")
    return found


def secret(value: Value) -> str:
    """The name of a variable: what stands here itself could be read by all who see the descriptor."""
    if not isinstance(value, str) or not _VARIABLE.fullmatch(value):
        raise MismatchError(
            "a secret must not stand in a descriptor", "Write ${NAME}, and set NAME where the instances are started."
        )
    return value


def no_mapping(value: Value) -> Value:
    raise expected("a mapping with a protocol", value)
