"""Bounds of the Kafka connectors, and how they relate to those of the engine.

They stand here and not in `streamer.limits` because nothing without a cluster needs them.
"""

from __future__ import annotations

from streamer.limits import FRAME_MESSAGES_MAX, KIB, MIB, SESSION_TIMEOUT_S

TOPICS_MAX = 100
"""One source reads so many: each partition of each has its own place in memory."""
READ_AHEAD_RECORDS = 8 * FRAME_MESSAGES_MAX
"""What a source has fetched and not sent yet: about what one fetch brings."""
READ_AHEAD_BYTES = 8 * MIB
SESSION_S = 10.0
"""A source whose instance is not heard for so long loses its partitions to the other instances of its group."""
HEARTBEAT_S = 1.0
"""How often it is heard, and learns that partitions are to be dealt anew."""
COMMIT_S = 1.0
"""How often a source tells its group what is settled: so much is read again after a kill."""
HANDOVER_S = 3.0
"""A partition that goes to another instance waits for what was read from it, at most this long."""
RETRY_S = 1.0
"""A cluster that cannot be used is tried again after this, doubled each time ..."""
RETRY_MAX_S = 30.0
TOLD_S = 10.0
"""What the client complains about is told at most so often."""
BATCH_BYTES = 256 * KIB
"""Records of one partition that a sink sends at once."""
DELIVERY_S = 30.0
"""A record that no broker takes for so long has failed, and is sent anew by another producer."""
SINK_ANSWER_S = 6.0
"""A checkpoint of a sink waits so long for the cluster; meanwhile its instance is not heard by its peers."""
TRANSACTION_S = 15.0
"""A transaction that its sink has left open keeps readers from what is behind it for so long."""
MARKS_PARTITIONS = 4
MARKS_SEGMENT_BYTES = 16 * MIB
"""Marks of exact sinks are compacted; what was written last is in a segment that is not, and is read at a start."""
LOOK_AT_START_S = 8.0
"""A command that starts a job looks at its topics for so long."""
assert SINK_ANSWER_S * 2 < SESSION_TIMEOUT_S, "a sink that waits for its cluster must not be taken for dead"
assert HANDOVER_S < SESSION_S / 2, "a handover must not cost the membership"
