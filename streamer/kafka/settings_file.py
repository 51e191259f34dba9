"""A file that sets KAFKA_* variables: the same names as in the environment, a line `NAME=VALUE` for each.

A secret in the environment of a process can be read by whoever may look at the process, and one in a file is mounted,
owned and rotated like any other secret. No message here has a value in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from streamer.errors import OptionError
from streamer.kafka.names import SETTINGS_NAME


def with_file(environment: Mapping[str, str]) -> Mapping[str, str]:
    """The variables, with those of the file that they may name in the place of their own. Raises OptionError."""
    if not (file := environment.get(SETTINGS_NAME)):
        return environment
    own = {name: value for name, value in environment.items() if name != SETTINGS_NAME}
    return {**own, **variables_of(Path(file))}


def variables_of(path: Path) -> dict[str, str]:
    """What the file sets; empty lines and those behind # say nothing. Raises OptionError."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise OptionError(
            f"the settings file {path} cannot be read: {why}",
            remedy="Name a file with a line NAME=VALUE for each KAFKA_* variable.",
        ) from error
    found = {}
    for number, line in enumerate((line.strip() for line in lines), start=1):
        if line and not line.startswith("#"):
            name, equals, value = line.removeprefix("export ").partition("=")
            if not equals or not name.strip().startswith("KAFKA_") or name.strip() == SETTINGS_NAME:
                raise OptionError(
                    f"line {number} of the settings file {path} sets none of the KAFKA_* variables of a cluster",
                    remedy="Write NAME=VALUE in each line, or # before what is to be left out.",
                )
            found[name.strip()] = _unquoted(value.strip())
    return found


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value
