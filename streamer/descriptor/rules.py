"""What one value of a descriptor may be: small readers that give a typed value or say what was expected.

Text that holds a number counts as that number, and a number as its text, because JSON and YAML writers disagree about
quotes and the descriptors that users bring along were accepted so. Nothing else is converted: a list is not a number.
A rule knows nothing of places; `fields` puts what it refuses into a finding.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TypeVar

from streamer import limits
from streamer.descriptor.document import Value
from streamer.descriptor.finding import quote, suggestion

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)
Rule = Callable[[Value], T]

_WHOLE = re.compile(r"[-+]?[0-9]{1,18}")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")
_QUANTITY = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*(Ki|Mi|Gi|Ti|Pi|Ei|m|k|K|M|G|T|P|E)?")
_NAME = re.compile(r"[-:_.A-Za-z0-9]+")
_ALGORITHM_NAME = re.compile(r"[a-z0-9][-a-z0-9.]*[a-z0-9]")
_ALGORITHM_NAME_CHARS_MAX = 32
_DECIMAL = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
_BINARY = {f"{unit}i": 1024**power for power, unit in enumerate("KMGTPE", start=1)}
_UNITS: Mapping[str, float] = {**_DECIMAL, **_BINARY, "m": 0.001}


class MismatchError(ValueError):
    """A value is not what its field needs. Never leaves this package: `fields` turns it into a finding."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


def expected(what: str, value: Value) -> MismatchError:
    return MismatchError(f"{quote(value)} is not {what}", f"Write {what}.")


def anything(value: Value) -> Value:
    return value


def text(*, chars_max: int | None = None, pattern: str | None = None, what: str = "a text") -> Rule[str]:
    """Text that is not empty."""
    compiled = re.compile(pattern) if pattern is not None else None

    def rule(value: Value) -> str:
        found = _as_text(value, what)
        if not found:
            raise MismatchError("the text is empty", f"Write {what}, or leave the field out.")
        if chars_max is not None and len(found) > chars_max:
            raise MismatchError(f"{quote(found)} has {len(found)} characters", f"Write at most {chars_max} characters.")
        if compiled is not None and not compiled.search(found):
            raise expected(what, value)
        return found

    return rule


def free_text(value: Value) -> str:
    """Text that may be empty."""
    return _as_text(value, "a text")


def whole(least: int, most: int | None = None) -> Rule[int]:
    what = f"a whole number of at least {least}" if most is None else f"a whole number from {least} to {most}"

    def rule(value: Value) -> int:
        number: Value = value
        if (isinstance(value, str) and _WHOLE.fullmatch(value.strip())) or (
            isinstance(value, float) and value.is_integer()
        ):
            number = int(value)
        if not isinstance(number, int) or isinstance(number, bool):
            raise expected(what, value)
        if number < least or (most is not None and number > most):
            raise expected(what, value)
        return number

    return rule


def number(least: float, most: float | None = None, *, above: bool = False) -> Rule[float]:
    """A number of at least `least`, or above it, and of at most `most`."""
    what = f"a number {'above' if above else 'of at least'} {least:g}"
    if most is not None:
        what = f"a number from {least:g} to {most:g}"

    def rule(value: Value) -> float:
        found: Value = value
        if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
            found = float(value)
        if isinstance(found, bool) or not isinstance(found, (int, float)):
            raise expected(what, value)
        if not (found > least if above else found >= least) or found > (1e300 if most is None else most):
            raise expected(what, value)
        return found

    return rule


def flag(value: Value) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    raise expected("true or false", value)


def bytes_of(text: str) -> int:
    """The bytes of a quantity that was found right before."""
    return quantity(0)(text)


def quantity(least: int, most: int | None = None) -> Rule[int]:
    """Bytes, as a whole number or with a unit (`64Mi`)."""

    def rule(value: Value) -> int:
        match = _QUANTITY.fullmatch(value.strip()) if isinstance(value, str) else None
        if match is not None:
            found = int(float(match[1]) * _UNITS[match[2] or ""]) if match[2] or "." in match[1] else int(match[1])
        elif isinstance(value, int) and not isinstance(value, bool):
            found = value
        else:
            raise MismatchError(
                f"{quote(value)} is not an amount of bytes", "Write a number of bytes, or one with a unit such as 64Mi."
            )
        if found < least or (most is not None and found > most):
            bound = f"at least {least}" if most is None else f"from {least} to {most}"
            raise MismatchError(f"{quote(value)} is out of bounds", f"Write an amount of {bound} bytes.")
        return found

    return rule


def quantity_text(least: int) -> Rule[str]:
    """Like `quantity`, kept as it is written: a cluster wants it back with its unit."""
    measure = quantity(least)

    def rule(value: Value) -> str:
        measure(value)
        return str(value)

    return rule


def choice(*names: str) -> Rule[str]:
    def rule(value: Value) -> str:
        if isinstance(value, str) and value in names:
            return value
        word = value if isinstance(value, str) else ""
        raise MismatchError(f"{quote(value)} is none of {', '.join(names)}", suggestion(word, names, what="values"))

    return rule


def member(kind: type[E]) -> Rule[E]:
    """One of the values of an enumeration."""
    one = choice(*(str(name) for name in kind))

    def rule(value: Value) -> E:
        return kind(one(value))

    return rule


def free_mapping(value: Value) -> dict[str, Value]:
    """A mapping with any fields."""
    if not isinstance(value, dict):
        raise expected("a mapping", value)
    return value


def text_mapping(value: Value) -> Mapping[str, str]:
    return {key: _as_text(entry, "a text") for key, entry in free_mapping(value).items()}


def sequence(value: Value) -> list[Value]:
    if not isinstance(value, list):
        raise expected("a list", value)
    return value


def name(value: Value) -> str:
    """Name of a pipeline, node or flow. It becomes part of file names, so it cannot lead out of a folder."""
    found = text(chars_max=limits.NAME_CHARS_MAX)(value)
    if not _NAME.fullmatch(found):
        raise MismatchError(
            f"{quote(found)} must contain only alphanumeric, dash, dot, colon or underscore",
            "Use letters, digits and - _ . : only.",
        )
    if ".." in found or found == ".":
        raise MismatchError(f"{quote(found)} could be read as a path", "Use a name without two dots in a row.")
    return found


def algorithm_name(value: Value) -> str:
    found = text(chars_max=_ALGORITHM_NAME_CHARS_MAX)(value)
    if not _ALGORITHM_NAME.fullmatch(found) or ".." in found:
        raise MismatchError(
            f"{quote(found)} is not a name of an algorithm",
            "Use 2 to 32 lower-case letters, digits, dashes and single dots, with a letter or digit at both ends.",
        )
    return found


def _as_text(value: Value, what: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    raise expected(what, value)
