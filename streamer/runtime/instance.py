"""One running copy of a node: from the first peers to the last goodbye, one step at a time.

A step serves the wire, lets the node's work handle one frame or produce one batch, sends what may be sent, and says
how long to wait. Nothing else drives the data path, and nothing in a step blocks, so the same class runs on sockets
with the machine's clock and, many at once, on a simulated network in virtual time. The end goes: input ended, the
work's goodbye, everything settled, END known to all consumers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from threading import Condition, RLock, get_ident

from streamer.clock import Clock
from streamer.limits import HEARTBEAT_S
from streamer.metrics.instruments import Histogram
from streamer.metrics.samples import HANDLER_BOUNDS_S, LATENCY_BOUNDS_S, InstanceSample
from streamer.plan.assignment import Assignment, Command, Peers, Role, Verb, Wiring
from streamer.protocol.frames import InHand
from streamer.protocol.input_frame import InputFrame, unsettled
from streamer.protocol.segment import Segment
from streamer.runtime.checkpoints import Checkpoints, Vault
from streamer.runtime.ending import advance_end
from streamer.runtime.entry import Log
from streamer.runtime.exits import Exits
from streamer.runtime.failures import Failures
from streamer.runtime.handover import Handover
from streamer.runtime.holds import Holds
from streamer.runtime.inbox import Inbox
from streamer.runtime.later import Later
from streamer.runtime.letters import Failure, Letters
from streamer.runtime.logged_entry import entry_of
from streamer.runtime.outbox import Outbox
from streamer.runtime.replaying import Replaying
from streamer.runtime.report import Arrivals, Facts, Progress, facts_of, progress_of, sample_of, versions_held
from streamer.runtime.root_sending import ROOTS_AGE_MAX_S, RootSending
from streamer.runtime.roots import Roots
from streamer.runtime.stage import Stage
from streamer.runtime.stores import AccountStore, LetterStore, ReplayStore
from streamer.runtime.work import Work
from streamer.transport.base import Transport, bound_again

_OPEN_RETRY_S = 0.005
_TURN_S = 0.0005
"""Frames are handled for so long before the wire is served again: a look at it costs as much as a few messages."""
_ROOTS_MANY = 8
"""It does so if it found so many at once: fewer are not worth the millisecond that each of them may wait then."""


class Instance:
    """The parts of an instance and the order in which they act. `work` is set before the first step."""

    work: Work

    def __init__(
        self,
        assignment: Assignment,
        transport: Transport,
        store: AccountStore,
        letters: LetterStore,
        *,
        clock: Clock,
        wall: Clock,
        number: Callable[[], int],
        crashed: Sequence[InHand] = (),
        log: Log | None = None,
        replays: ReplayStore | None = None,
    ) -> None:
        self.assignment = assignment
        self.wiring = assignment.wiring
        self.exits = Exits(assignment.node, assignment.wiring)
        self.store = store
        self.account = store.account
        self.letters = Letters(assignment, letters, clock, wall, self.exits.position)
        self._mutex = RLock()
        self.lock = Condition(self._mutex)
        self._transport = transport
        self.now = self._clock = clock
        self.endpoint = ""
        self.address = ""
        self.outbox = Outbox(assignment, self.exits, None, self.account, self.letters)
        self._bind()
        self.inbox = Inbox(assignment, self.exits, transport, number, self._on_settled, crashed, self.outbox.floors)
        self.replaying = Replaying(assignment, self.exits, replays, number, wall, self._on_settled, crashed)
        self.inbox.local = self.replaying.sessions
        self.inbox.can_pass_on = lambda: self.outbox.outlets.taken
        self.checkpoints: Checkpoints | None = None
        parts = self.exits, self.outbox, self.account
        self.entry = entry_of(assignment, *parts, self.letters, self.wake, log)
        self.roots = Roots(self.exits, self.outbox, self.lock, self.entry, wall)
        self.root_sending = RootSending(self)
        self.failures = Failures(assignment, self.letters, self.account, self.lock, clock)
        self.handover = Handover(self)
        self.holds = Holds(self, clock)
        self.later = Later(self.roots, wall, self.lock, self.wake)
        self._due: deque[Callable[[], object]] = deque()
        self._commands: deque[Command] = deque()
        self._peers_version = 0
        self.end_asked = self.drain_asked = self.renewing = False
        self.beat_at = clock()
        self._roots_completed = self._settled_roots()
        if not self.wiring.inputs:
            self.account.completed = max(self.account.completed, self._roots_completed)
        self._completed_before = self.account.completed
        self._woken = False
        self.thread = 0
        self.stage = Stage.RUNNING
        self.met = False
        self.busy_s = 0.0
        self.taken = 0
        self.handler_seconds = Histogram(HANDLER_BOUNDS_S)
        self.queue_wait = Histogram(LATENCY_BOUNDS_S)
        self.arrivals = Arrivals(self.exits.flow_of, wall)

    # -- the step --------------------------------------------------------------------------------------------------

    def step(self) -> float:
        """Do what there is to do; gives the seconds for which nothing is to be done unless something comes.

        Raises HandlerError if a handler has failed and that is to end the job.
        """
        self.failures.check()
        now = self._clock()
        self.thread = get_ident()
        self._woken = False
        more = False
        with self._mutex:
            self._serve(now)
            if self.handover.asked is not None:
                self.handover.advance(now)
        if self.stage <= Stage.STOPPING:
            more = self._advance_work(now)
            while more and (at := self._clock()) - now < _TURN_S:
                more = self._advance_work(at)
        kept, ending = self.checkpoints, self.stage is not Stage.RUNNING
        if kept is not None and kept.due(ending=ending, idle=not more) and self.work.at_rest and kept.take():
            self.outbox.dirty = True
        with self._mutex:
            self.later.advance()
            roots = self.roots.commit()
            self.roots.looked_after = roots >= _ROOTS_MANY
            self.taken += roots
            self.send(self._clock(), drained=self.inbox.drained and not more)
        if self.stage is not Stage.ENDED:
            advance_end(self, now)
        while self._due:
            self._due.popleft()()
        return self._wait_s(now, more)

    def _serve(self, now: float) -> None:
        """Everything but the work: what peers and the controller say, heartbeats. Under the lock."""
        while self._commands:
            self._obey(self._commands.popleft(), now)
        if self.outbox.receive(now):
            self.work.settled()
        self.entry.advance(now)
        if self.roots.waiters and self.entry.room():
            self.lock.notify_all()
        self.inbox.receive(now)
        if self.stage is Stage.RUNNING:
            self.replaying.feed(self.inbox, now, self.handover.chooser)
        if now - self.beat_at >= HEARTBEAT_S:
            self.beat_at = now
            self.outbox.check(now)
            self.inbox.beat(now, lambda frames: unsettled(frames, self.outbox.edges))
            self.holds.expire(now)

    def send(self, now: float, *, drained: bool) -> None:
        """Publish the account, then send frames, grants and acknowledgements. Under the lock."""
        self._publish()
        self.outbox.flush(now, drained=drained)
        self.inbox.report(now, drained=drained)

    def _publish(self) -> None:
        if self.outbox.dirty:
            self.outbox.dirty = False
            completed, self._roots_completed = self._roots_completed, self._settled_roots()
            if not self.wiring.inputs:
                self.account.completed += self._roots_completed - completed
            self.store.publish()

    def _advance_work(self, now: float) -> bool:
        """Handle one frame or produce one batch; True if there is more to do at once."""
        if not self.outbox.room():
            return False
        if self.work.accepts and (frame := self.failures.next(self.inbox, now)) is not None:
            self._handle(frame)
            return not self.inbox.drained and self.failures.fatal is None
        if not self.met:
            return False  # whether a source may read anything new depends on who is still there
        with self.lock:
            return self.work.produce(now)

    def keep(self, vault: Vault) -> Checkpoints:
        """Settle what is handled from now on, and send what is sent, with checkpoints. Raises StateError."""
        with self.lock:
            self.checkpoints = Checkpoints(self, vault, self._clock)
            self.checkpoints.restore()
            return self.checkpoints

    def _handle(self, frame: InputFrame) -> None:
        if self.checkpoints is not None:
            self.checkpoints.admit(frame)
        began = self._clock()
        self.queue_wait.observe(max(0.0, began - frame.arrived_at), frame.count)
        failures = self.work.handle(frame)
        if failures is not None:
            self.handled(frame, failures, self._clock() - began)

    def handled(self, frame: InputFrame, failures: list[Failure], busy_s: float, told: int = 0) -> None:
        """The work is done with a frame; see `Inbox.handled` for `told`."""
        self.busy_s += busy_s
        if frame.dead or frame.dropped:
            failures = [failure for failure in failures if failure.index not in (*frame.dead, *frame.dropped)]
        if failures and not self.failures.judge(frame, failures):
            return
        self.taken += frame.count
        first_time = frame.attempts == 1
        if first_time and not self.wiring.outputs:
            self.arrivals.observe(frame)
        with self._mutex:
            self.outbox.dirty = True
            frame.done()
            if self.checkpoints is None:
                frame.settle(1)
            else:
                self.checkpoints.handled(frame)
            if first_time:
                self.account.received += frame.count
                self.inbox.handled(frame, busy_s, told)

    def pump(self) -> None:
        """Serve the wire from inside a handler call that waits for room in the outbox."""
        while not self.entry.room():
            self._serve_once()
            if not self.entry.room():
                self._transport.wait(HEARTBEAT_S)

    def pause(self, seconds: float) -> None:
        """Serve the wire for so long, between two calls of a handler."""
        until = self._clock() + seconds
        while (left := until - self._clock()) > 0.0:
            self._serve_once()
            self._transport.wait(min(left, HEARTBEAT_S))

    def _serve_once(self) -> None:
        with self.lock:
            now = self._clock()
            self._serve(now)
            self.send(now, drained=True)

    def _wait_s(self, now: float, more: bool) -> float:
        if self.stage is Stage.ENDED or more:
            return 0.0
        room = self.outbox.room()
        retries = self.failures.retries
        retry_s = retries.wait_s(now) if room and self.work.accepts else None
        takes = room and self.work.accepts and not retries.full and not self.inbox.drained
        if self.stage is Stage.RUNNING and (takes or (self.replaying.due and not self.inbox.leaving)):
            return 0.0
        wait = max(0.0, self.beat_at + HEARTBEAT_S - now)
        with self._mutex:
            if self.inbox.open_waiting(now):
                wait = min(wait, _OPEN_RETRY_S)
        if retry_s is not None:
            wait = min(wait, retry_s)
        asked = self.work.wait_s(now)
        if asked is not None and (room or self.stage is not Stage.RUNNING) and asked > 0.0:
            wait = min(wait, asked)
        if self.roots.looked_after:
            wait = min(wait, ROOTS_AGE_MAX_S)
        if (report_at := self.inbox.report_at) is not None:
            wait = min(wait, max(0.0, report_at - now))
        if (due_s := self.later.wait_s()) is not None:
            wait = min(wait, due_s)
        if self.checkpoints is not None and (checkpoint_s := self.checkpoints.wait_s()) is not None:
            wait = min(wait, checkpoint_s)
        return wait

    def wait(self, timeout_s: float) -> None:
        """Wait for the wire, the work's descriptors or a wake."""
        if timeout_s > 0.0 and not self._woken:
            self._transport.wait(timeout_s, self.work.descriptors())

    # -- peers and the end -----------------------------------------------------------------------------------------

    def command(self, command: Command) -> None:
        """Take a command of the controller; any thread may bring it.

        Another wiring is known at once, also while a handler is at work: the controller waits for all to know it.
        """
        if command.wiring is not None:
            with self.lock:
                self._take(command.wiring)
        self._commands.append(command)
        self.wake()

    @property
    def woken(self) -> bool:
        """Whether somebody has asked for another look since the last step began."""
        return self._woken

    def wake(self) -> None:
        """Make the loop look again; from any thread."""
        if not self._woken:
            self._woken = True
            self._transport.wake()

    def _obey(self, command: Command, now: float) -> None:
        if command.verb is Verb.DRAIN:
            self.drain_asked = True
            self.work.drain()
        elif command.verb is Verb.FLOWS:
            self._bind()
            self.inbox.rejoin(now)
        elif command.verb is Verb.END:
            self.end_asked = True
        elif command.verb is Verb.LEAVE:
            self.inbox.leaving = self.inbox.shut = True
            if self.assignment.role is Role.SOURCE:
                self.work.drain()
        elif command.verb is Verb.RENEW:
            if self.stage is Stage.RUNNING:  # else it is at its own end already
                self.renewing = self.inbox.leaving = self.inbox.shut = True
        elif command.verb is Verb.REPLAY:
            self.replaying.ask(command.lives)
        elif command.peers is not None:
            self._meet(command.peers, now)

    def _take(self, wiring: Wiring) -> None:
        """Know another wiring, as far as this needs no socket; whoever is about to end takes no new input."""
        if wiring.number <= self.wiring.number:
            return
        added = {edge.source for edge in wiring.inputs} - {edge.source for edge in self.wiring.inputs}
        if added and self.stage is not Stage.RUNNING and not self.inbox.leaving:
            return
        self.roots.forget_flows()
        if self.exits.take(wiring, versions_held(self)):
            self.wiring = wiring
            self.outbox.rewire()
            self.inbox.rewire()

    def _bind(self) -> None:
        """Bind the outgoing edges, once there are some."""
        if self.wiring.outputs and self.outbox.binding is None:
            self.outbox.binding = bound_again(self._transport, self.assignment.endpoint)
            self.endpoint = self.outbox.binding.endpoint

    def _meet(self, peers: Peers, now: float) -> None:
        if peers.version > self._peers_version:
            self._peers_version = peers.version
            self.met = True
            self.handover.meet(peers, now)
            self.outbox.meet(peers.children, peers.owners, now)

    def _on_settled(self, count: int) -> None:
        self.inbox.unsettled -= count
        self.account.completed += count
        self.outbox.dirty = True

    # -- what the user's api asks for ------------------------------------------------------------------------------

    def emit(self, segment: Segment, blobs: Sequence[bytes], parent: InputFrame | None, indexes: Sequence[int]) -> None:
        """Hand on what handlers have sent."""
        with self._mutex:
            self.outbox.emit(segment, blobs, parent, indexes)

    def call(self, function: Callable[[], object]) -> None:
        """Call this in the message thread, soon; from any thread."""
        self._due.append(function)
        self.wake()

    def flush(self, *, drained: bool) -> None:
        """Send what may be sent, from whatever thread. Under the lock."""
        self._publish()
        self.outbox.flush(self._clock(), drained=drained)

    # -- what others see -------------------------------------------------------------------------------------------

    def facts(self) -> tuple[Facts, Progress | None]:
        """What the controller waits for, and whether anything has happened; any thread may ask."""
        with self.lock:
            return facts_of(self), progress_of(self)

    def sample(self) -> InstanceSample:
        """This instance now; any thread may ask."""
        with self.lock:
            return sample_of(self)

    @property
    def completed(self) -> int:
        """Inputs, or roots of its own, that were settled or given up in this life."""
        return self.account.completed - self._completed_before

    def _settled_roots(self) -> int:
        settled = 0
        for edge in self.account.edges:
            settled += edge.settled + edge.dead_lettered
        return settled
