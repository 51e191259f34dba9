"""Which records count, in a log that takes the records of everyone.

A controller that was paused goes on writing when it is resumed, and a log such as Kafka's cannot refuse it: the check
would have to be in the append, and there is none. So the readers refuse: all of them see one order in a partition, so
all of them drop the same records. A lease with a time limit was rejected, since the paused writer is the one whose
clock stood still. It costs one number for each scope. A reader must have seen a partition from its beginning (claims
outlive compaction), or get the epochs with the position from which it goes on.
"""

from __future__ import annotations

from streamer.log.base import Record
from streamer.log.topics import POLICIES


class Fence:
    """Of one partition of one topic: ask `admits` for every record, in order, once."""

    def __init__(self) -> None:
        self._epochs: dict[str, int] = {}

    def admits(self, record: Record) -> bool:
        """Whether `record` counts: no newer claim of its scope came before it.

        A record of a higher epoch than was seen proves a newer claim as well as the claim itself.
        """
        if not POLICIES[record.topic].claimed:
            return True
        if record.epoch is None or record.epoch < self._epochs.get(record.scope, 0):
            return False
        self._epochs[record.scope] = record.epoch
        return True
