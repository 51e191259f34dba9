"""Checkpoints: what an instance has done takes effect at once, and once, or is done again from the last one.

A node whose effects are to count once (keyed state, a file) may not tell its producers that a message is settled before
the effect of it is safe, nor send on what came of it. So frames that were handled, and messages that were sent, are
kept here until the next checkpoint. It holds the effects, the marks of what was handled, and the messages: all or
nothing. After it the frames settle and the messages leave, as new roots which this node can make again, numbered from
the checkpoint. A new life sends again what was not settled, and drops by its marks what comes to it again. What it
sends anew has an origin of its own: its state may be gone, or older than what was sent, and a number that is given
twice would be a repeat to whoever keeps marks behind it.

They come at most every tenth of a second, which is what such a node adds to the delay of its messages; `schedule` says
when.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from threading import Condition
from typing import Protocol

import msgpack

from streamer.clock import Clock
from streamer.errors import ConnectorError, FencedError, PeerError, StateError
from streamer.limits import CHECKPOINT_BYTES
from streamer.plan.assignment import Assignment
from streamer.protocol.chunk import joined
from streamer.protocol.entry import decode_roots, encode_roots
from streamer.protocol.identity import ROOT_HASH, chained, origin_of, step_of
from streamer.protocol.input_frame import InputFrame
from streamer.protocol.marks import Marks
from streamer.protocol.segment import Segment
from streamer.protocol.settlement import Barrier, intervals
from streamer.runtime.exits import Exits
from streamer.runtime.failures import Failures
from streamer.runtime.outbox import Outbox
from streamer.runtime.schedule import Schedule
from streamer.state.base import Checkpoint, Kept, Outgoing

_NEXT, _EDGES = "next", "edges"


Rooted = tuple[Segment, Sequence[bytes]]
"""Messages that leave with a checkpoint, under the ids that they have in it."""


class Vault(Protocol):
    """Where the checkpoints of one instance are kept, with its effects."""

    whole_marks: bool
    """Whether each checkpoint is to bring all marks, and not only changes."""

    def restore(self) -> Kept:
        """What the last checkpoint held. Raises StateError or ConnectorError."""

    def commit(self, checkpoint: Checkpoint) -> None:
        """Keep this and all effects so far, or nothing of it. Raises StateError or ConnectorError."""

    def own(self, epoch: int, replicas: int) -> Sequence[bytes]:
        """The key groups of the node are dealt like this now; gives the marks of all who have owned some.

        Raises StateError, FencedError.
        """

    def close(self) -> None: ...


class Keeper(Protocol):
    """The instance."""

    lock: Condition
    exits: Exits
    outbox: Outbox
    failures: Failures
    assignment: Assignment


class Checkpoints:
    """Of one instance. Calls are made under its lock, `admit` and `take` from its message thread without."""

    def __init__(self, keeper: Keeper, vault: Vault, clock: Clock) -> None:
        self._keeper = keeper
        self._vault = vault
        self._clock = clock
        self.marks = Marks()
        self._name = keeper.assignment.instance
        self._origin = origin_of(keeper.exits.node, f"checkpoint {self._name}", keeper.assignment.epoch)
        self._origins = {self._origin}
        self._next = 0
        self._edges: frozenset[str] = frozenset()
        self._edges_kept = self._edges
        self._frames: list[InputFrame] = []
        self._outgoing: list[Rooted] = []
        self._outgoing_bytes = 0
        self._barriers: list[Barrier] = []
        self._rows: deque[tuple[int, int]] = deque()
        self._schedule = Schedule()
        self._problem = ""
        self._handled_at = 0.0

    # -- a new life ----------------------------------------------------------------------------------------------------

    def restore(self) -> None:
        """Go on from the last checkpoint: know what was handled, and send again what was not settled.

        Raises StateError or ConnectorError.
        """
        kept = self._vault.restore()
        self.marks.restore(kept.marks)
        try:
            begun = _NEXT in kept.facts
            self._next = kept_to = msgpack.unpackb(kept.facts[_NEXT]) if begun else 0
            self._edges = frozenset(msgpack.unpackb(kept.facts[_EDGES]) if _EDGES in kept.facts else ())
            rows = [(row.number, list(decode_roots(row.record))) for row in kept.outgoing]
        except (PeerError, ValueError, TypeError, msgpack.UnpackException) as error:
            raise StateError(f"the checkpoint of instance {self._name} cannot be read: {error}") from error
        self._edges_kept = self._edges
        edges = self._keeper.outbox.edges
        self._next = max([kept_to, *(edge.counts.roots.end for edge in edges)])
        if begun and kept_to < self._next:
            raise StateError(
                f"the state of instance {self._name} is older than its job: it has sent {kept_to} messages, "
                f"and {self._next} were settled",
                remedy="Bring back a newer copy. To begin without state, move the folder of the node's state aside.",
            )
        first = rows[0][0] if rows else self._next
        for edge in edges:
            if edge.target in self._edges or not begun:
                edge.counts.roots.add(0, first)
        exits = self._keeper.exits
        every = [roots for _, parts in rows for roots in parts]
        if not exits.know(r.segment for r in every) or any(
            exits.version_of(r.segment.route) != r.version for r in every
        ):
            raise StateError(
                f"the checkpoint of instance {self._name} has messages of flows that this job does not have",
                remedy="Use the state with the flows of the job that it comes from.",
            )
        for number, parts in rows:
            self._rows.append((number, sum(len(roots.blobs) for roots in parts)))
        for roots in every:
            self._origins.add(roots.segment.origin)
            self._send_again(roots.segment, roots.blobs)
        self._keeper.outbox.kept = self

    def _send_again(self, segment: Segment, blobs: Sequence[bytes]) -> None:
        """Send into each edge what its account does not say to be settled there."""
        outbox = self._keeper.outbox
        targets = [outlet.edge for outlet, _ in outbox.outlets.hops[segment.route]]
        for edge in targets:
            open_ = [i for i, position in enumerate(segment.positions) if position not in edge.counts.roots]
            for start, end in intervals(open_):
                outbox.emit_again(edge.target, segment.cut(start, end), blobs[start:end])
        self._pass_by({edge.target for edge in targets}, segment.positions)

    def _pass_by(self, targets: Collection[str], positions: Sequence[int]) -> None:
        """These messages do not go into other edges than to these targets, and count as settled there."""
        for edge in self._keeper.outbox.edges:
            if edge.target not in targets:
                edge.counts.roots.add(positions[0], positions[-1] + 1)

    # -- what is done --------------------------------------------------------------------------------------------------

    def admit(self, frame: InputFrame) -> None:
        """Find out which messages of the frame were handled before: they are not to be handled again.

        One may also be in the frame twice: sent again, and made anew of one that was sent again further up.
        """
        repeats: list[int] = []
        base = 0
        before = Marks() if len(frame.segments) > 1 else None
        for segment in frame.segments:
            found = self.marks.repeats(segment)
            if before is not None:
                found = sorted({*found, *before.repeats(segment)})
                before.add(segment)
            repeats += [base + index for index in found]
            base += len(segment)
        frame.repeats = repeats

    def handled(self, frame: InputFrame) -> None:
        """The handlers are done with the frame, other than with those of its messages that wait to be tried again."""
        waiting = [index for those in frame.waiting for index in those]
        base = 0
        for segment in frame.segments:
            self.marks.add(segment, [index - base for index in waiting if base <= index < base + len(segment)])
            base += len(segment)
        frame.kept = True
        self._handled_at = self._clock()
        self._frames.append(frame)

    def keep(self, segment: Segment, blobs: Sequence[bytes]) -> None:
        """Something is to be sent, with the next checkpoint."""
        blobs, size = joined(blobs)
        self._outgoing.append((segment, blobs))
        self._outgoing_bytes += size
        self._keeper.outbox.kept_bytes += size

    def watch(self, barrier: Barrier) -> None:
        """`barrier` waits for all that is to be sent with the next checkpoint."""
        barrier.open += 1
        self._barriers.append(barrier)

    # -- the checkpoint ------------------------------------------------------------------------------------------------

    @property
    def empty(self) -> bool:
        """Nothing is to be kept."""
        return not (self._frames or self._outgoing)

    def held_routes(self) -> Iterator[int]:
        """Of all that is to be sent with the next checkpoint."""
        return (segment.route for segment, _ in self._outgoing)

    def wait_s(self) -> float | None:
        """Seconds until an idle node takes its next checkpoint; None while there is nothing to keep."""
        return None if self.empty else max(0.0, self._schedule.due_at(self._handled_at, idle=True) - self._clock())

    def due(self, *, ending: bool, idle: bool) -> bool:
        """Whether to take a checkpoint now: at the end of the stream, as soon as there is anything to keep."""
        if self.empty:
            return False
        if ending or self._outgoing_bytes >= CHECKPOINT_BYTES:
            return True
        return self._clock() >= self._schedule.due_at(self._handled_at, idle=idle)

    def take(self) -> bool:
        """Take a checkpoint; False if it could not be written, which has changed nothing: it is tried again.

        Raises FencedError if this life has been replaced.
        """
        began = self._clock()
        with self._keeper.lock:
            frames, self._frames = self._frames, []
            outgoing, self._outgoing = self._outgoing, []
            barriers, self._barriers = self._barriers, []
            self._see_edges()
        rooted, next_ = [], self._next
        for segment, blobs in outgoing:
            rooted.append((self._rooted(segment, next_, len(blobs)), blobs))
            next_ += len(blobs)
        checkpoint = self._checkpoint(rooted, next_)
        try:
            self._vault.commit(checkpoint)
        except FencedError:
            raise
        except (StateError, ConnectorError) as error:
            with self._keeper.lock:
                self._frames[:0], self._outgoing[:0], self._barriers[:0] = frames, outgoing, barriers
                self._keeper.failures.last_error = problem = f"{error}. {error.advice}"
            self._tell(problem)
            self.marks.rewrite()
            self._schedule = self._schedule.after_failure(self._clock())
            return False
        self._tell("")
        self._next, self._edges_kept = next_, self._edges
        for _ in checkpoint.settled:
            self._rows.popleft()
        with self._keeper.lock:
            self._let_out(rooted, barriers)
            for frame in frames:
                frame.kept = False
                frame.settle(1)
        now = self._clock()
        self._schedule = Schedule.after(now, now - began)
        return True

    def own(self, epoch: int, replicas: int) -> None:
        """This instance has other keys from now on: it goes by the marks of those who had them before."""
        self.marks.restore(self._vault.own(epoch, replicas))

    def _tell(self, problem: str) -> None:
        """In the instance's log: what keeps it from taking checkpoints, once, and that it takes them again."""
        if problem != self._problem:
            text = f"{problem} Nothing settles until then." if problem else "checkpoints are written again"
            sys.stderr.write(f"node {self._keeper.exits.node}: {text}\n")
        self._problem = problem

    def close(self) -> None:
        """The orderly end: nothing is left to keep."""
        self._vault.close()

    def _see_edges(self) -> None:
        """There may be edges that no checkpoint knew: what was sent before is not owed to them."""
        new = {edge.target: edge for edge in self._keeper.outbox.edges if edge.target not in self._edges}
        for edge in new.values():
            edge.counts.roots.add(0, self._next)
        self._edges |= new.keys()

    def _rooted(self, segment: Segment, first: int, count: int) -> Segment:
        """The same messages as roots of this node, numbered from `first`."""
        place = self._keeper.exits.place(segment.route)
        hash_ = chained(ROOT_HASH, step_of(place.node, place.flow, place.occurrence, 0))
        positions = range(first, first + count)
        return Segment(
            self._origin, positions, hash_, None, segment.route, segment.hops, segment.time_us, segment.headers
        )

    def _checkpoint(self, rooted: Sequence[Rooted], next_: int) -> Checkpoint:
        outbox = self._keeper.outbox
        for origin, floor in outbox.floors.known.items():
            self.marks.settled_below(origin, floor)
        marks, whole = (self.marks.whole(), True) if self._vault.whole_marks else self.marks.take()
        floor = min((edge.counts.roots.floor for edge in outbox.edges), default=self._next)
        outbox.floors.hear(dict.fromkeys(self._origins, floor))
        facts = {_NEXT: msgpack.packb(next_)} if rooted else {}
        if self._edges != self._edges_kept:
            facts[_EDGES] = msgpack.packb(sorted(self._edges))
        return Checkpoint(
            marks=marks,
            marks_whole=whole,
            outgoing=[self._written(segment, blobs) for segment, blobs in rooted],
            settled=[first for first, count in self._rows if first + count <= floor],
            facts=facts,
        )

    def _written(self, segment: Segment, blobs: Sequence[bytes]) -> Outgoing:
        version = self._keeper.exits.version_of(segment.route)
        return Outgoing(segment.positions[0], b"".join(encode_roots(version, segment, blobs)))

    def _let_out(self, rooted: Sequence[Rooted], barriers: Sequence[Barrier]) -> None:
        outbox = self._keeper.outbox
        for segment, blobs in rooted:
            self._rows.append((segment.positions[0], len(blobs)))
            outbox.emit(segment, blobs, None, (), again=True)
            self._pass_by({o.edge.target for o, _ in outbox.outlets.hops[segment.route]}, segment.positions)
            self._outgoing_bytes -= joined(blobs)[1]
        outbox.kept_bytes = self._outgoing_bytes
        for barrier in barriers:
            for edge in outbox.edges:
                edge.wait_for_roots(barrier)
            barrier.settle(1)
