"""How many events may be made by now: one word in a mapped page, written by whoever drives the pipeline.

A job is measured from the moment at which all of its instances are there, and killed where it surely has not ended; a
source that began by itself would have made a part of its events by then, or all of them.
"""

from __future__ import annotations

from pathlib import Path

from streamer.mapped import MappedWords

_OPEN_TO = 0


class Gate:
    """It is closed at first, and after a kill as wide open as before."""

    def __init__(self, path: Path) -> None:
        self._words = MappedWords(path, 1)

    @property
    def open_to(self) -> int:
        return int(self._words.words[_OPEN_TO])

    def open(self, count: int) -> None:
        """Let the first `count` events pass."""
        self._words.words[_OPEN_TO] = count

    def close(self) -> None:
        self._words.close()
