"""Every bound of the engine, by name, with the relations that must hold between them.

A bound that is not here does not exist: queues, frames, retries and waits all refer to this module, so that a reader
can judge in one screen what an instance may cost and what happens at the edge. Bytes are bytes, times are seconds.
"""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB

# -- descriptors ------------------------------------------------------------------------------------------------------
DESCRIPTOR_BYTES_MAX = 4 * MIB
"""A descriptor file larger than this is refused unread."""
DESCRIPTOR_VALUES_MAX = 1_000_000
"""Values of one file after its aliases are followed: a few lines of YAML can name each other into billions."""
DESCRIPTOR_DEPTH_MAX = 64
NAME_CHARS_MAX = 200
"""Names of pipelines and nodes become names of folders, which may have 255 bytes."""
NODES_MAX = 1000
INSTANCES_PER_NODE_MAX = 1000
CONCURRENCY_MAX = 1024
KEY_GROUPS = 256
"""Groups that keys of a partitioned node fall into, and so the most instances it can have. State is kept by them."""
KEY_PATH_STEPS_MAX = 32
KEYS_KNOWN_MAX = 10_000
"""Texts of which a producer remembers the group; beyond it, it begins anew."""
FINDINGS_MAX = 1000
"""Findings of one document; a person reads fewer."""
FINDINGS_ALIKE_MAX = 20
"""Findings of one kind about one thing: two long groups joined twice repeat up to a million edges."""
EDGES_MAX = 65_536
"""Entries of a pipeline's `edges`, each with the policies of one edge."""
ROUTES_MAX = 4_096
"""Positions of all flows of one version."""
FLOW_VERSIONS_MAX = 16
"""Versions of a job's flows that are alive at once: each has a part of its own of the numbers that routes travel as."""
FLOW_VERSIONS_KEPT = 32
"""Versions that are over, of which a job keeps the texts: one can go back to them."""
CANARY_PARTS = 10_000
"""A canary's share of the roots is told in such parts: hundredths of a percent."""
CANARY_RUN = 16
"""So many neighbours, by their positions, take the same version while there is a canary. Each change of version among
messages that follow each other costs some 40 us (measured): drawn one by one, a tenth of them doubles the cost of
all."""
HISTORY_SPANS_MAX = 1024
"""Runs of unsettled positions of a source that took different versions, or shares of them; beyond it the last one goes
on."""
HOPS_MAX = 255
"""`hopLimit` can be at most this: hops travel in one byte."""
HOP_LIMIT_DEFAULT = 64

# -- messages and frames ----------------------------------------------------------------------------------------------
MESSAGE_BYTES_MAX = 1024 * MIB
LARGE_BYTES = 128 * KIB
"""Buffers of this size travel uncopied, as parts of their own (below, copying costs less than a part)."""
BUFFERS_MAX = 256
"""... and so many of one message; further ones are packed."""
FRAME_MESSAGES_MAX = 1024
FRAME_BYTES_MAX = 1000 * KIB
"""A frame closes at this size; one larger message still travels, alone. What a frame costs beside its messages is some
hundred microseconds at each of its ends: with 240 KiB, messages of 1 KB cost 7 to 20 % more CPU time over two hops, and
of 64 KiB two thirds more over one (measured). More messages a frame gain nothing."""
FRAME_AGE_MAX_S = 0.002
"""A frame that is older at the end of a handler call is sent: there is no linger timer."""
GATHER_MAX_S = 0.001
"""So long an instance that is busy with small frames lets messages gather before it looks again."""
PARTS_MAX = 6
"""ZeroMQ parts of one data frame: header, body, segment table, positions, hashes, headers of messages. The frame of a
large message has its buffers as further parts, and one that says how many."""
HEADERS_BYTES_MAX = 4 * KIB
"""Headers of one message: they travel with it and with all that is sent for it."""
CONTROL_FRAME_BYTES_MAX = MIB

# -- what an instance may hold ----------------------------------------------------------------------------------------
CREDIT_BYTES = 8 * MIB
"""Budget of unhandled input of one consuming instance, shared over its producers (larger falls out of the cache)."""
CREDIT_MESSAGES_MAX = 65_536
CREDIT_TIME_S = 0.05
"""A consumer asks for as many messages as it handles in this time, so that a slow node holds few."""
QUEUE_BYTES_DEFAULT = 64 * MIB
RETAINED_BYTES_MAX = 256 * MIB
"""Unsettled output kept by one instance for redelivery; beyond it intake waits."""
SPILL_BYTES = 16 * MIB
"""A handler call that has sent more than this cannot be rolled back any more: what it sent leaves before its end."""
READ_AHEAD_BYTES = 4 * MIB
"""A source reads no further ahead of its consumers' credit than this (records wait cheaper where they are)."""
CYCLE_INTAKE_BYTES_MAX = 16 * MIB
"""Unsettled input from outside a cycle at one of its instances; beyond it only the cycle's own edges are served."""
CYCLE_INTAKE_MESSAGES_MAX = 16_384
CYCLE_RETAINED_BYTES_MAX = 1024 * MIB
"""Hard limit of what a loop may pile up in one instance; beyond it messages are dead-lettered with the reason."""
MESSAGE_OVERHEAD_BYTES = 49
"""What one queued message costs beside its packed body (a bytes object and its slot in a list)."""
INTAKE_TIME_S = 0.5
"""A source that can read again keeps about as much unsettled as is settled in this time."""
INTAKE_FLOOR = 128
"""... and at least so many records."""
RETRIES_MESSAGES_MAX = 10_000
RETRIES_BYTES_MAX = 64 * MIB
"""Messages of one instance that wait to be tried again; while there are more, its input waits."""
LATER_MESSAGES_MAX = 100_000
LATER_BYTES_MAX = 64 * MIB
"""Messages of one instance that wait for their time (`api.emit_at`)."""
ROOT_SPAN_MAX = 1_000_000
"""Distance between the newest root and the oldest unsettled one of a source."""
SETTLED_RANGES_MAX = 4_096
"""Settled ranges above the floor that a source's page keeps per edge; settled ones beyond count as in flight."""

ENTRY_GROUP_BYTES = 4 * MIB
"""What `durability: log` puts onto the disk at once at most; one larger message still goes, alone. Quarters of it cost
a third of the throughput on a busy machine (measured): the interpreter's lock changes hands a few times for each."""
ENTRY_WAITING_BYTES = 8 * MIB
"""What may wait for the disk; beyond it intake waits."""
ENTRY_SEGMENT_BYTES = 16 * MIB
"""An entry log goes on in a new segment at this size, so that the settled ones before it can be deleted."""
ENTRY_LOG_BYTES_MAX = 1024 * MIB
"""All segments of one instance: beyond it intake waits until the oldest message in them is settled."""
ENTRY_RETRY_S = 1.0
"""A disk that had no room is tried again after this time."""

# -- time -------------------------------------------------------------------------------------------------------------
HEARTBEAT_S = 0.5
"""Grants and acknowledgements are repeated, and the control thread pulses, this often."""
ACKNOWLEDGE_S = 0.001
"""A session is told of small changes at most this often: each frame of its own costs both ends as much as a message."""
SESSION_TIMEOUT_S = 15.0
"""A session of which nothing was heard for this long ends, and what it held is sent to others."""
TAIL_TIMEOUT_S = 5.0
"""A consumer that has shown for so long that it lacks the last frames of a session has lost them: they come again."""
PARTIAL_ACK_AGE_S = 1.0
"""Frames older than this are acknowledged message by message."""
STATUS_RANGES_MAX = 8_192
STATUS_PARTIALS_MAX = 256
"""Ranges, and frames message by message, that one acknowledgement tells: the lowest, and later the rest."""
REPORT_S = 0.25
"""How often an instance reports its counters to the controller."""
REPORT_CALM_S = 1.0
"""The same while nothing happens in it: a report costs as much as some hundred messages."""
DRAIN_S = 30.0
"""What has not drained at this time after the request is killed; what it held stays counted as in flight."""
START_GRACE_S = 5.0
"""After stop(args) a stateful algorithm's start(args, api) has this long to return and send its last."""
RETRIES_MAX = 1_000_000
RETRY_DELAY_S = 1.0
RETRY_FACTOR = 2.0
RETRY_DELAY_MAX_S = 60.0
"""Where a node does not say otherwise, a message is tried again after this, then twice that, up to this."""
RETRY_DELAY_S_MAX = 86_400.0
RETRY_FACTOR_MAX = 100.0
TTL_LOOK_S = 0.1
TTL_LOOK_LEAST_S = 0.001
"""The watchdog of a node with a `ttl` looks at its calls after a quarter of that, but between these two."""
HOLD_S_MAX = 600.0
"""A message that its handler holds for longer is given up."""
RESTART_DELAY_S = 0.1
RESTART_DELAY_MAX_S = 5.0
CRASH_LOOP_DEATHS = 5
CRASH_LOOP_LIFE_S = 10.0
"""Five deaths in a row, each within this time of the start and with nothing done, fail the job."""
CRASH_ATTEMPTS_MAX = 3
"""A message in hand at this many deaths is dead-lettered."""

# -- the controller and the platform ---------------------------------------------------------------------------------
COMMAND_REPEAT_S = 2.0
"""Everything an instance must know is told again this often: a command that was lost costs this long, and no more."""
FLOWS_S = 30.0
"""A change of flows is taken back when an instance has not heard of it after this time."""
FLOWS_ANSWERS_KEPT = 32
"""Answers to the last changes of flows that a job keeps for those who asked for them."""
UPDATE_READY_S = 60.0
"""An update is taken back when an instance of it is not at work after this time."""
UPDATE_PROVEN_S, UPDATE_PROBATION_S = 0.5, 2.0
"""An instance of an update is trusted after so long at work: if it has got something done, and if it had nothing to."""
RELEASE_SETTLE_S = 1.0
"""An instance that gives up its key groups waits at most this long for what it has handled to be settled."""
LAST_WORD_S = 1.0
"""An exit and the last sample of an instance come on different ways: the sample may be later by this."""
PREFLIGHT_S = 60.0
"""An algorithm that does not import within this time is a finding."""
PREFLIGHTS_MAX = 8
"""Algorithms imported at the same time before a job starts: each may take the memory of a whole instance."""
OUTPUT_READ_BYTES_MAX = 256 * KIB
"""Read from one instance's output in one round, so that a loud one does not keep the controller from the others."""
OUTPUT_LINE_BYTES_MAX = 16 * KIB
OUTPUT_LINES_MAX_S = 1000
"""Lines per second that one instance can show on the terminal; the log has them all."""
OUTPUT_TAIL_LINES = 60
"""Last lines of an instance that are kept to tell why it died."""
LOG_BYTES_MAX = 64 * MIB
"""A log of this size is set aside once (`.log.1`) and begun anew."""

# -- connectors -------------------------------------------------------------------------------------------------------
READ_BYTES = 256 * KIB
"""A source reads at most this much at once."""
FOLLOW_POLL_S = 0.1
"""A file that is followed is looked at this often while nothing is left to read."""
ROTATION_GRACE_S = 0.5
"""A file that was rotated away is left when nothing was written to it for this long."""
FOLLOWED_HEAD_BYTES = 1_024
"""So much of the beginning of a file tells it from another one."""
RATE_STEPS_MAX = 1_000
BAD_RECORD_BYTES_MAX = 64 * KIB
"""So much of a record that cannot be read is kept to show."""
CATCH_UP_S = 1.0
"""A source with a rate makes up for at most this long a stall."""
PACE_S = 0.001
"""A source with a rate gives what is due at most this often: shorter waits cost more than they give."""

# -- databases --------------------------------------------------------------------------------------------------------
DATABASE_TURN_S = 0.002
"""A writer tries again for its turn after a random part of this (at least a quarter)."""
FILE_LOCK_TURN_S = 0.01
"""... and whoever waits for a file that another process has locked, after this."""

# -- dead letters -----------------------------------------------------------------------------------------------------
DEAD_LETTERS_BUSY_S = 10.0
"""A letter waits at most this long for those of other processes."""
DEAD_LETTER_PART_BYTES = 16 * MIB
"""A message that is larger is kept in several parts: SQLite takes no value of the size of our largest message."""
DEAD_LETTER_TEXT_CHARS_MAX = 65_536
"""Of an error, or a traceback, the beginning and the end are kept."""
SQLITE_SINK_BUSY_S = 30.0
"""A sink waits at most this long for other programs that write to its database."""

REPLAY_LETTERS_MAX = 256
REPLAY_FRAMES_MAX = 2
"""An instance claims so many dead letters at once, and has so many frames of them in hand."""
REPLAY_S = 60.0
"""`streamer dlq replay` waits at most this long for what becomes of the letters; they go on without it."""

# -- the control log --------------------------------------------------------------------------------------------------
CONTROL_LOG_VALUE_BYTES_MAX = 8 * MIB
CONTROL_LOG_KEY_CHARS_MAX = 512
CONTROL_LOG_APPEND_RECORDS_MAX = 10_000
"""Records of one append: what a controller answers to one event."""
CONTROL_LOG_READ_RECORDS_MAX = 1_000
CONTROL_LOG_READ_BYTES = 16 * MIB
"""A batch that is read closes at this size; one larger record still comes, alone."""
CONTROL_LOG_BUSY_S = 10.0
"""An append waits at most this long for those of other processes."""
CONTROL_LOG_POLL_S = 0.01
"""A follower on one machine looks this often whether there is more (2 us each, measured)."""
CONTROL_LOG_CHECK_BYTES_MAX = 64 * MIB
"""A file of at most this size is checked whole whenever it is opened (about 0.1 s at this size)."""
CONTROL_LOG_KEPT_S = 7 * 86_400.0
"""How long commands and decisions are kept; the state that came of them is kept with the job."""
CONTROL_LOG_REPORTS_KEPT_S = 3_600.0
CONTROL_LOG_KEPT_RECORDS_MAX = 200_000
"""... and at most so many of each topic."""
CONTROL_LOG_TOMBSTONE_S = 86_400.0
"""A deletion stays readable for this long, so that followers that were away learn of it."""
CONTROL_LOG_COMPACT_RECORDS = 1_000
"""Records removed at once: writers wait no longer than this takes."""

KAFKA_PARTITIONS = 16
"""Of each topic of the log, where it is made: controllers share jobs by them."""
KAFKA_REPLICAS = 3
"""Copies of each record, where there are so many brokers; all but one must have it before it counts."""
KAFKA_FETCH_S = 0.1
"""A broker answers a fetch at once when there is something, and after this when there is nothing."""
KAFKA_REQUEST_S = 5.0
"""A broker that does not answer a request for so long is asked no more, but another one."""
KAFKA_FAREWELL_S = 1.0
"""A client that is closed tells its brokers, unless that takes longer."""
KAFKA_LOOK_S = 1.0
"""A follower that has read everything asks for the end, and waits for the answer at most this long."""
KAFKA_ANSWER_S = 15.0
"""A call waits at most this long for the cluster: some times as long as a broker's place is taken by another."""

# -- keyed state ------------------------------------------------------------------------------------------------------
KEY_GROUPS = 256
"""Keys of a partitioned node are dealt to its instances by group. A group is one byte of a stored key."""
STATE_NAMES_MAX = 1_000
"""Keyed states of one node: a name is for a purpose, and what comes in messages is a key."""
STATE_KEY_BYTES_MAX = 4 * KIB
STATE_VALUE_BYTES_MAX = 64 * MIB
"""One packed value, element or field."""
STATE_EXPIRED_DELETED_MAX = 2_000
"""Expired entries that one checkpoint deletes: it waits no longer than this takes, and leaves the rest to the next."""
STATE_SCAN_ENTRIES = 1_000
STATE_SCAN_BYTES = 16 * MIB
"""Entries that are read at once when many are looked at; one larger entry comes alone."""
STATE_WAL_BYTES = 32 * MIB
"""A write-ahead log of this size is brought into its database by the next checkpoint (a hundred ms, and as much when it
is opened after a kill)."""
STATE_CHECK_BYTES_MAX = 16 * MIB
"""A file of at most this size is checked whole whenever it is opened (some ten ms)."""
STATE_RECENT_ENTRIES = 65_536
STATE_RECENT_BYTES = 16 * MIB
"""Changes of the last checkpoints that are kept as they came. When there are more, they go into the table of entries,
and as many again may gather meanwhile. They are in memory, and are read when the state is opened."""
STATE_MERGE_ENTRIES = 500
"""With each checkpoint so many of them at least."""
STATE_CACHE_BYTES = 256 * MIB
"""Entries of one instance that stay in memory, about; beyond it those that the store has too are forgotten."""
STATE_CELL_BYTES = 250
"""What one of them costs beside its value: a key, its place in a dict, and what Python adds."""
STATE_BUSY_S = 10.0
"""A checkpoint waits at most this long for those of other instances of its node."""
STATE_TAKE_OVER_S = 0.2
"""A life that is started waits at most this long for the one before it to be gone."""

# -- the gateway ------------------------------------------------------------------------------------------------------
GATEWAY_CONNECTIONS_MAX = 512
"""Each is a thread and a descriptor, of which a process often has 1,024; further ones wait to be accepted."""
GATEWAY_READING_BYTES_MAX = 256 * MIB
"""Bodies on their way in at the same time; one of legal size is admitted when no other is read."""
GATEWAY_SETTLE_S = 60.0
"""A request hears within this time whether its message is settled; what is not goes on without it."""
GATEWAY_IDLE_S = 60.0
"""A connection that stays silent for this long, between requests or inside one, is closed."""
GATEWAY_RETRY_S = 1
"""What `Retry-After` says: a full queue is worked off in far less, and whole seconds are all that it can say."""
GATEWAY_FAREWELL_S = 2.0
"""At the end of a job everything is settled; its last answers have this long to leave."""

# -- checkpoints ------------------------------------------------------------------------------------------------------
CHECKPOINT_S = 0.1
"""The shortest time from one checkpoint to the next: its cost is per checkpoint, and its messages leave with it."""
CHECKPOINT_MAX_S = 2.0
CHECKPOINT_PART = 0.1
"""... and checkpoints take about this part of the time, unless that would make them rarer than the above."""
CHECKPOINT_IDLE_PART = 0.25
"""... and so much of it where the node has nothing else to do."""
CHECKPOINT_BYTES = 16 * MIB
"""What a checkpoint has to send; a node that has so much takes one at once."""
CHECKPOINT_RETRY_S = 1.0
"""A checkpoint that cannot be written (a full disk) is tried again after this."""
FLOORS_MAX = 1_024
"""Origins whose floors an instance knows, and tells its consumers."""

# -- simulations of the autoscaler -------------------------------------------------------------------------------------
TRACE_BYTES_MAX = 64 * MIB
TRACE_S_MAX = 8 * 86_400
"""A trace is simulated second by second: a week of three nodes takes about a minute for each rule."""
TRACE_RATE_MAX = 1e9

# -- taps -------------------------------------------------------------------------------------------------------------
TAPS_MAX = 4
"""Taps that one instance serves at the same time; a further one is refused."""
TAP_MESSAGES_MAX = 2 * FRAME_MESSAGES_MAX
TAP_BYTES_MAX = MIB
"""What may be on its way to one tap; what is sent while so much is, is not shown to it."""
TAP_FRAME_BYTES_MAX = 16 * MIB
"""A larger frame (of one large message) is never shown: nobody reads it, and the producer would hold it for the tap."""
TAP_PACE_S = 0.05
"""A tap makes room at most this often, so that one of a fast edge leaves the machine to the job."""
TAP_RENEW_S = 1.0
TAP_SILENCE_S = 4.0
"""A tap of which nothing was heard for so long has ended."""

# -- redelivery -------------------------------------------------------------------------------------------------------
ENDED_SESSIONS_KEPT = 16
"""Ended sessions whose frames a producer still knows, to find the message that was in hand at a death."""
CRASH_SUSPECTS_MAX = 10_000

assert FRAME_MESSAGES_MAX < 65_536, "a frame's count travels as an unsigned 16-bit integer"
assert 4 * MIB <= CREDIT_BYTES <= 16 * MIB, "smaller starves fast nodes, larger falls out of the cache"
assert CREDIT_MESSAGES_MAX >= 4 * FRAME_MESSAGES_MAX, "a quarter window must hold a full frame"
assert FRAME_BYTES_MAX <= CREDIT_BYTES // 4, "a quarter window must hold a full frame"
assert SPILL_BYTES < MESSAGE_BYTES_MAX, "the size of one returned message is only looked at beyond this"
assert QUEUE_BYTES_DEFAULT <= RETAINED_BYTES_MAX, "an edge's queue is part of what is retained"
assert ENTRY_GROUP_BYTES <= ENTRY_WAITING_BYTES <= ENTRY_SEGMENT_BYTES, "a group is filled while another is written"
assert ENTRY_LOG_BYTES_MAX >= 2 * RETAINED_BYTES_MAX, "memory is full before the log is, unless one message is stuck"
assert HEARTBEAT_S * 4 <= SESSION_TIMEOUT_S, "several heartbeats must be lost before a session ends"
assert HOP_LIMIT_DEFAULT <= HOPS_MAX
assert KEY_GROUPS == 256, "a group is kept in one byte"
assert TAP_MESSAGES_MAX >= FRAME_MESSAGES_MAX and TAP_BYTES_MAX >= FRAME_BYTES_MAX, "a tap has room for a whole frame"
assert TAP_RENEW_S * 4 <= TAP_SILENCE_S, "several words of a tap must be lost before it ends"
assert TAPS_MAX * (TAP_BYTES_MAX + TAP_FRAME_BYTES_MAX) <= RETAINED_BYTES_MAX, "taps are a small part of an instance"
assert FLOW_VERSIONS_MAX * ROUTES_MAX == 65_536, "a route, with its version, travels as an unsigned 16-bit integer"
assert FLOWS_ANSWERS_KEPT > FLOW_VERSIONS_MAX, "who made a version that is alive can still hear of it"
assert GATEWAY_SETTLE_S > DRAIN_S, "what was accepted before a drain hears of its end"
assert 16 * STATUS_RANGES_MAX + KIB <= CONTROL_FRAME_BYTES_MAX, "a status that is refused ends its session"
assert STATUS_PARTIALS_MAX * (3 * FRAME_MESSAGES_MAX + 16) <= CONTROL_FRAME_BYTES_MAX, "as above, each index being told"
assert REPORT_S * 4 <= LAST_WORD_S, "a sample that is on its way must be in before its absence counts as a death"
assert SETTLED_RANGES_MAX * FRAME_MESSAGES_MAX >= ROOT_SPAN_MAX, "whole frames settled out of order fit the span"
assert CONTROL_LOG_VALUE_BYTES_MAX >= 2 * DESCRIPTOR_BYTES_MAX, "a descriptor travels in one record, also when escaped"
assert CONTROL_LOG_KEY_CHARS_MAX > 2 * NAME_CHARS_MAX, "a key holds a job or a name, and an instance"
assert CONTROL_LOG_READ_BYTES >= CONTROL_LOG_VALUE_BYTES_MAX, "the largest record fits a batch of several"
