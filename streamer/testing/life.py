"""One life of one instance in a world: the real `Instance`, its own present, its control thread, and its death.

Instances of a world run beside each other although one thread steps them all: a step happens at one moment of the
world, and what handlers spend in it moves only the life's own clock, up to which the life is then busy. A kill strikes
before or after any effect on the outside (a frame, the account page, a letter, a record), which are all the places
where it can make a difference.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn, Protocol

from streamer.errors import HandlerError, StreamEndedError
from streamer.limits import HEARTBEAT_S
from streamer.plan.assignment import Assignment, Durability, Role
from streamer.protocol.frames import Kind, encode_short
from streamer.runtime.algorithm import Algorithm
from streamer.runtime.instance import Instance
from streamer.runtime.letters import user_traceback
from streamer.runtime.roles import crashed_in, give_algorithm, give_sink, give_source
from streamer.runtime.stage import Stage
from streamer.runtime.turn import IN_FRAME, IN_HAND, IN_SESSION, NOTHING
from streamer.state.memory import MemoryStateDisk
from streamer.testing.clock import VirtualClock
from streamer.testing.disk import Disk, DiskAccount, DiskLog, DiskState, LetterBox, ListSink, ListSource
from streamer.testing.keyed import text_of
from streamer.testing.network import Network, SimConnection, SimTransport
from streamer.testing.promises import PromiseError

_STEP_S = 0.000_01
"""What a step costs at least: an instance that steps without end moves the clock, and is found."""
_DISK_S = 0.001
_IDLE_STEPS_MAX = 300
"""Steps in a row that wait for nothing and do nothing: more of them is a loop that is busy with itself."""


class Killed(BaseException):
    """The process is gone, as by kill -9: nothing of it may catch this."""


Make = Callable[["Life"], Algorithm]
"""Makes the functions of one life of an algorithm."""


class World(Protocol):
    """What a life needs from its world."""

    clock: VirtualClock
    network: Network
    states: dict[str, MemoryStateDisk]

    def number(self) -> int: ...

    def read_again(self, life: Life, record: object) -> None: ...

    def died(self, life: Life) -> None: ...

    def left(self, life: Life) -> None: ...

    def stepped(self, life: Life) -> None: ...

    def took(self, life: Life, session: int, sequence: int, message: object) -> None: ...


class Life:
    """`work_for` and `die` are for the functions of a test; `emitted` tells what this life has sent, in order."""

    def __init__(self, world: World, assignment: Assignment, disk: Disk) -> None:
        self.name = assignment.instance
        self.assignment = assignment
        self.disk = disk
        self.slowness = 1.0
        self.in_hand: object = None
        self.emitted: dict[object, list[int]] = {}
        self.alive = True
        self.begun = False
        self.handler_error = ""
        self.stopped_until_s = 0.0
        self.instance: Instance
        self._world = world
        self._emissions = 0
        self._ahead_s = 0.0
        self._due_s = float("inf")
        self._free_at_s = 0.0
        self._stepping = False
        self._operations = 0
        self._idle_steps = 0
        self._dies_at: int | None = None
        self._dies_in: tuple[Stage, int] | None = None
        self._pulses: dict[str, SimConnection] = {}
        self._handled: dict[int, int] = {}
        self._transport = SimTransport(world.network, self)
        self._start: Callable[[], None] | None = None

    # -- the beginning -------------------------------------------------------------------------------------------------

    def begin(
        self,
        letters: LetterBox,
        *,
        make: Make | None,
        source: ListSource | None,
    ) -> None:
        """Put the instance together as its process does; it may be killed meanwhile."""
        a = self.assignment
        try:
            self.instance = Instance(
                a,
                self._transport,
                DiskAccount(self.disk, tuple(o.target for o in a.wiring.outputs), self.operate),
                letters.of(self.operate),
                clock=self.now,
                wall=self.wall,
                number=self._world.number,
                crashed=crashed_in(self.disk.hand),
                log=self._log() if a.durability is Durability.LOG else None,
            )
            if source is not None:
                give_source(self.instance, source, self.now, self.wall)
            elif make is None:
                give_sink(self.instance, ListSink(self.disk, self.operate))
            else:
                state = self._world.states.setdefault(a.node, MemoryStateDisk(a.node))
                home = DiskState(state, a.instance, a.epoch, self.wall, self.operate, self._sends_again)
                work = give_algorithm(self.instance, make(self), self.disk.hand, self.now, self.wall, home)
                if a.role is Role.STATEFUL:
                    self._start = work.start
        except Killed:
            self._end_by_kill()
            return
        self.begun = True
        self.wake_at(self._world.clock.now())

    def _log(self) -> DiskLog:
        """What is read from it is sent once more."""
        latency_s = _DISK_S * (1 + self._world.number() % 4)
        return DiskLog(
            self.disk,
            self.operate,
            latency_s,
            self.now,
            self.wake_at,
            lambda record: self._world.read_again(self, record),
        )

    # -- the host of the transport -------------------------------------------------------------------------------------

    def now(self) -> float:
        return self._world.clock.now() + self._ahead_s

    def wall(self) -> float:
        return self._world.clock.wall() + self._ahead_s

    def wake_at(self, time_s: float) -> None:
        if self.alive and time_s < self._due_s:
            due_s = self._due_s = max(time_s, self._free_at_s, self._world.clock.now())
            if not self._stepping:
                self._world.clock.at(due_s, lambda: self._step_if_due(due_s))

    def operate(self) -> None:
        self._operations += 1
        if self._dies_in is not None and self.begun and self.instance.stage >= self._dies_in[0]:
            self._dies_at = self._operations + self._dies_in[1]
            self._dies_in = None
        if self._dies_at is not None and self._operations >= self._dies_at:
            raise Killed

    def wait(self, timeout_s: float) -> None:
        """A handler waits inside its call: the others go on meanwhile."""
        clock = self._world.clock
        until_s = self.now() + timeout_s
        self._due_s = until_s
        while clock.next_s < self._due_s:
            clock.advance()
        self._ahead_s = max(0.0, max(self._due_s, clock.now()) - clock.now())
        self._due_s = float("inf")

    # -- what the functions of a test ask for --------------------------------------------------------------------------

    def work_for(self, span_s: float) -> None:
        """The handler is busy for so long."""
        self._ahead_s += span_s * self.slowness

    def die(self) -> NoReturn:
        """The handler takes its process with it."""
        raise Killed

    def takes(self, message: object) -> None:
        """A handler call begins; frames of one session must come in order."""
        self.in_hand = text_of(message)
        self.operate()
        if self.assignment.on_error.limit:
            return  # what is tried again comes late
        session, sequence = self.disk.hand[IN_SESSION], self.disk.hand[IN_FRAME]
        if sequence < self._handled.get(session, 0):
            raise PromiseError(f"{self.name}: frame {sequence} of session {session} was handled after a later one")
        self._handled[session] = sequence
        self._world.took(self, session, sequence, message)

    def emits(self, message: object) -> None:
        """A handler call, or a source, sends this."""
        self._emissions += 1
        self.emitted.setdefault(message, []).append(self._emissions)

    @property
    def handling(self) -> bool:
        """Whether a message was in hand by the words that survive."""
        return self.disk.hand[IN_HAND] != NOTHING

    # -- steps ---------------------------------------------------------------------------------------------------------

    def _step_if_due(self, due_s: float) -> None:
        if self.alive and self._due_s == due_s and not self._stepping:
            self._step()

    def _step(self) -> None:
        clock = self._world.clock
        self._due_s = float("inf")
        self._ahead_s = 0.0
        self._stepping = True
        operations = self._operations
        try:
            wait_s = self.instance.step()
            if self._start is not None:
                self._start_once(self._start)
                wait_s = 0.0
            if self.instance.stage is Stage.ENDED:
                self._leave()
                return
        except Killed:
            self._end_by_kill()
            return
        except HandlerError as error:
            assert error.__cause__ is not None
            self.handler_error = user_traceback(error.__cause__)
            self._end_by_kill()
            return
        finally:
            self._stepping = False
        self._watch_idleness(operations, wait_s)
        self._world.stepped(self)
        busy_s = self._ahead_s + _STEP_S
        self._ahead_s = 0.0
        self._free_at_s = max(self._free_at_s, clock.now() + busy_s)
        if busy_s > 2 * HEARTBEAT_S:
            self.pulse_for(busy_s)
        due_s, self._due_s = self._due_s, float("inf")
        self.wake_at(min(due_s, clock.now() + busy_s + wait_s))

    def _start_once(self, start: Callable[[], None]) -> None:
        """The user's `start`, in a thread of its own by right; the first step cannot end anything before it."""
        self._start = None
        with suppress(StreamEndedError):  # it went on sending after a drain, as any user's loop may
            start()
        self.instance.work.start_returned.set()  # type: ignore[attr-defined]  # the work of a stateful node

    def _watch_idleness(self, operations: int, wait_s: float) -> None:
        idle = operations == self._operations and wait_s < 0.001 and self._ahead_s == 0.0
        self._idle_steps = self._idle_steps + 1 if idle else 0
        if self._idle_steps > _IDLE_STEPS_MAX:
            raise PromiseError(f"{self.name} is busy with itself: {self._idle_steps} steps did and waited for nothing")

    def _leave(self) -> None:
        """The orderly end: last words, and what is on its way still arrives."""
        self.instance.work.close()
        self.operate()
        self.alive = False
        self._transport.close()
        self._world.left(self)

    # -- faults --------------------------------------------------------------------------------------------------------

    def pause(self, for_s: float, *, whole: bool) -> None:
        """It is not stepped for so long; what comes waits. `whole`: its control thread is silent too."""
        if whole:
            self.stopped_until_s = self._world.clock.now() + for_s
        self._free_at_s = max(self._free_at_s, self._world.clock.now() + for_s)
        due_s, self._due_s = self._due_s, float("inf")
        self.wake_at(due_s)

    def kill_after(self, operations: int) -> None:
        """Die at this effect from now on (0: at once, if it is not in the middle of a step)."""
        if operations == 0 and not self._stepping:
            self._end_by_kill()
        else:
            self._dies_at = self._operations + max(1, operations)

    def kill_in(self, stage: Stage, operations: int) -> None:
        """Die so many effects after it has come to this stage of its end."""
        self._dies_in = (stage, operations)

    def _end_by_kill(self) -> None:
        if self.alive:
            self.alive = False
            self._transport.crash()
            self._world.died(self)

    # -- the control thread --------------------------------------------------------------------------------------------

    def _sends_again(self, message: object) -> None:
        """It stands in the checkpoint of a former life. Only texts have promises to keep: a user's may be anything."""
        if isinstance(text := text_of(message), str):
            self.emits(text)

    def pulse_for(self, busy_s: float) -> None:
        """What the slow thread of an instance does while its handler takes long: tell that the process lives."""
        at_s = 2 * HEARTBEAT_S
        while at_s < busy_s:
            self._world.clock.after(at_s, self._pulse)
            at_s += HEARTBEAT_S

    def _pulse(self) -> None:
        if not self.alive or self._world.clock.now() < self.stopped_until_s:
            return
        try:
            for endpoint, number in self.instance.inbox.sessions():
                connection = self._pulses.get(endpoint)
                if connection is None:
                    connection = self._pulses[endpoint] = self._transport.connect(endpoint)
                connection.send(encode_short(Kind.PULSE, number))
        except Killed:
            self._end_by_kill()
