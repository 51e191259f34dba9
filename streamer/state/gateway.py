"""What a gateway keeps on disk: the name and port that are its own while it lives, and again when it comes back.

People hold its URL, so a port that was chosen must be found again after a kill; and a name stands for one gateway, so
whoever starts another must be able to see that it is taken. Both are answered by one file in the instance's folder,
locked by the process for as long as it lives: the system lets go of the lock at a kill, where a list of names in use
would have to be cleaned up by somebody. The price is a look into the folders of all jobs at the start of the next one.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from streamer.errors import StateError

GATEWAY_FILE = "gateway"


class GatewayRecord:
    """Holds the file of one life. Raises StateError while another life holds it."""

    def __init__(self, folder: Path) -> None:
        self._fd = os.open(folder / GATEWAY_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._fd)
            raise StateError(
                f"{folder / GATEWAY_FILE} is held by another process",
                remedy="Let the other life of this gateway end before it is started again.",
            ) from error

    @property
    def port(self) -> int:
        """Where the life before this one was reached; 0 if there was none."""
        return _read(self._fd)[1]

    def keep(self, name: str, port: int) -> None:
        """Remember these for the next life, and show them to others."""
        if _read(self._fd) != (name, port):
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, json.dumps([name, port]).encode(), 0)

    def close(self) -> None:
        os.close(self._fd)


def _read(fd: int) -> tuple[str, int]:
    try:
        name, port = json.loads(os.pread(fd, os.fstat(fd).st_size, 0))
    except ValueError:  # new, or its writer was killed between two calls: nobody has been told of a port by then
        return "", 0
    return str(name), int(port)


def living_gateways(folders: Iterable[Path]) -> Mapping[str, Path]:
    """Names in use, with the folder of the instance, among the instances whose folders these are."""
    living = {}
    for folder in folders:
        try:
            fd = os.open(folder / GATEWAY_FILE, os.O_RDONLY)
        except OSError:  # no gateway, or another user's
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            living[_read(fd)[0]] = folder
        finally:
            os.close(fd)
    return living
