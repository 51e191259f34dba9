"""The bounds of jobs on several machines: how often their parts speak, and how long a silence may be.

They stand apart from those of one machine (`streamer.limits`), since they follow from what Kafka and its clients need
and not from what an instance does.
"""

from __future__ import annotations

from streamer.limits import (
    CONTROL_LOG_APPEND_RECORDS_MAX,
    CONTROL_LOG_VALUE_BYTES_MAX,
    CRASH_LOOP_LIFE_S,
    KAFKA_ANSWER_S,
    MIB,
)

AGENT_INSTANCES = 64
"""Instances that one machine takes unless it is told otherwise."""
AGENT_BEAT_S = 1.0
"""How often an agent and a controller of a cluster say that they are there."""
AGENT_GONE_S = 6.0
"""An agent that was silent for this long is taken for dead, and what can go on elsewhere does."""
AGENT_DEAF_S = 3.0
"""A controller that has not heard itself for this long takes the brokers to have been away."""
AGENT_RETURNS_S = 30.0
"""After that every agent has this long to be heard again: each waits for brokers that are away in its own rhythm."""
AGENT_REPORT_S = 1.0
"""How often an agent reports the samples of its instances; what changes a decision is told at once."""
AGENT_LOOK_S = 0.05
"""At most this often does an agent, or a controller of a cluster, look at what has changed."""
CONTROLLER_SESSION_S = 6.0
"""A controller that was silent for this long is replaced by another one."""
CONTROLLER_END_S = 8.0
"""A controller that is to end says goodbye to its brokers for so long."""
CONTROLLER_GATHER_S = 0.03
"""Reports that come one after the other gather for so long before a controller looks at them."""
CONTROLLER_TAKE_UP_S = 0.2
"""A controller that has many jobs to take up looks after this time at those that it has."""
CONTROLLER_COMPACT_S = 6 * 3_600.0
"""How often a controller removes what claims that are over have left in the log."""
KAFKA_PATIENCE_S = 10.0
"""A controller or an agent that starts tries for so long to reach a broker, and a command does so once."""
CONTROLLER_RETRY_S = 1.0
"""After this time a controller tries again what the log did not take, and a crashed one begins again."""
PLACED_EPOCHS = 1_000
"""Lives of an instance on one machine; on another one they are counted on from the next multiple, so that two machines
that do not see each other never begin the same life."""
CODE_BYTES_MAX = 8 * MIB
"""The Python files of all algorithms of a job, as they are given to it at once: each agent holds them in memory."""
CODE_FILES_MAX = 2_000
CODE_LATE_S = 5.0
"""Code that has not come to a machine so long after the order that needs it does not come: the start has failed."""

assert CODE_BYTES_MAX <= CONTROL_LOG_VALUE_BYTES_MAX, "whatever may travel, a single file too, fits into its record"
assert CODE_FILES_MAX <= CONTROL_LOG_APPEND_RECORDS_MAX, "each of them is one record of an append"
assert CODE_LATE_S < CRASH_LOOP_LIFE_S, "an instance whose code never comes fails its job as one that always crashes"
assert AGENT_RETURNS_S >= 2 * KAFKA_ANSWER_S, "an agent that waits for an answer when the brokers come asks once more"
