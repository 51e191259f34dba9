"""What an instance leaves in its folder about its own life: that it has begun, as which process, and how it ended.

Whoever starts a process knows its number and hears its exit code; but instances can outlive the process that started
them, and the next one that supervises them finds strangers. So each instance writes down who it is before it does
anything else, and its exit code when it ends in an order that a new life must know of. The time at which the process
was started is kept beside its number, because numbers are given again. A kill leaves the word of the beginning.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

CANNOT_OPEN = 3
"""The exit code of an instance whose algorithm or connector cannot be opened: starting it again would not help."""
HANDLER_FAILED = 5
"""The exit code of an instance whose handler has failed where its node declares that this ends the job."""
RENEWED = 6
"""The exit code of an instance that has left for its next life."""
_FILE = "life.json"


@dataclass(frozen=True, slots=True)
class Life:
    """`started` is in ticks since the machine's start, 0 where the system does not tell; `code` None: it goes on.

    `error` is what ended the job with it.
    """

    epoch: int
    pid: int
    started: int
    code: int | None = None
    error: str = ""


def begin_life(folder: Path, epoch: int, started: int) -> None:
    """This process is the life of this epoch."""
    _write(folder, Life(epoch, os.getpid(), started))


def end_life(folder: Path, code: int, error: str = "") -> None:
    """The life of this process ends with this exit code, and if it ends its job, with this error."""
    life = read_life(folder)
    if life is not None:
        _write(folder, replace(life, code=code, error=error))


def read_life(folder: Path) -> Life | None:
    """The last life whose process came so far."""
    try:
        return Life(**json.loads((folder / _FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _write(folder: Path, life: Life) -> None:
    draft = folder / f"{_FILE}.new"
    draft.write_text(json.dumps(asdict(life)))
    draft.replace(folder / _FILE)
