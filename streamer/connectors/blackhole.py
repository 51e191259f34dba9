"""A sink that keeps nothing: for measurements, and for branches whose result nobody needs.

Its messages are received and settled like those of any other sink, so that a pipeline can be measured without a disk.
It holds no list and no counter either: the account of the edge already tells how many there were.
"""

from __future__ import annotations

from collections.abc import Sequence


class BlackholeSink:
    """Takes everything, writes nothing."""

    def open(self, restarted: bool) -> None:
        """There is nothing to begin."""

    def write(self, values: Sequence[object]) -> None:
        """Gone."""

    def close(self) -> None:
        """There is nothing to end."""
