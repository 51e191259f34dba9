"""The process of one instance: from its assignment file to its exit code.

It builds the instance on sockets, pages and the machine's clock, opens the user's algorithm or the connector, and
drives the loop. A stateless node, a source and a sink have one thread for all of that; a stateful algorithm's `start`
gets the main thread, since it may be anything, and the loop another. Exit codes: 0 ended in order, 1 an error that a
new life may not have, 3 the algorithm or connector cannot be opened, which no new life would change, 5 a handler has
failed whose node declares that this ends the job, 6 it has left for its next life.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import traceback
from pathlib import Path
from threading import Thread

from streamer import clock
from streamer.connectors.base import Owner
from streamer.connectors.registry import open_sink, open_source
from streamer.errors import AlgorithmError, ConnectorError, HandlerError, StateError, StreamEndedError, StreamerError
from streamer.limits import MIB
from streamer.mapped import MappedWords
from streamer.plan.assignment import Assignment, Durability, Role
from streamer.platform.adopted import started_at
from streamer.runtime.algorithm import load_algorithm
from streamer.runtime.algorithm_work import AlgorithmWork
from streamer.runtime.control_link import ControlLink
from streamer.runtime.drive import drive
from streamer.runtime.instance import Instance
from streamer.runtime.letters import has_user_frames, user_traceback
from streamer.runtime.printing import print_lossily
from streamer.runtime.roles import crashed_in, give_algorithm, give_gateway, give_sink, give_source
from streamer.runtime.turn import HAND_WORDS
from streamer.state.account import AccountPage
from streamer.state.dead_letters import DeadLetters
from streamer.state.entry_log import ENTRY_FOLDER, EntryLog
from streamer.state.home import SqliteHome
from streamer.state.life import CANNOT_OPEN, HANDLER_FAILED, RENEWED, begin_life, end_life
from streamer.state.log_writer import LogWriter
from streamer.state.replays import Replays
from streamer.transport.zeromq import ZmqTransport

DIED = 1
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MMAP_THRESHOLD_BYTES, _TRIM_THRESHOLD_BYTES = 4 * MIB, 32 * MIB
_LIFE_BITS = 40
"""A life that finds no log begins one so far behind those of all lives before it, whose positions are not given again:
somebody may have moved a damaged log away, and what came by it is known further on."""
_SWITCH_S = 0.001
"""How long a busy thread may keep the interpreter from the one that has been to the disk: Python's own 5 ms would be a
multiple of what most disks take."""
_GC_THRESHOLDS = (50_000, 20, 100)
"""Messages are short-lived and rarely cyclic: collecting after every 700 allocations only costs throughput."""


def _build(assignment: Assignment, transport: ZmqTransport) -> tuple[Instance, AlgorithmWork | None]:
    """Make the instance and its work.

    Raises AlgorithmError, ConnectorError or StateError, or what the user's init raises.
    """
    folder = Path(assignment.folder)
    source = None
    if assignment.role is Role.SOURCE and assignment.connector:
        source = open_source(assignment.connector, _owner(assignment))
    replayable = source is not None and source.replayable
    log = None
    if assignment.durability is Durability.LOG:
        begins_at = 0 if replayable else (assignment.epoch - 1) << _LIFE_BITS
        log = LogWriter(EntryLog(folder / ENTRY_FOLDER, begins_at=begins_at))
    again = log is not None or replayable
    letters = DeadLetters(Path(assignment.dead_letters))
    letters.check()
    hand = MappedWords(folder / "hand", HAND_WORDS * assignment.concurrency, records=HAND_WORDS).words
    instance = Instance(
        assignment,
        transport,
        AccountPage(folder, tuple(o.target for o in assignment.wiring.outputs), replayable=again),
        letters,
        clock=clock.now,
        wall=clock.wall,
        number=lambda: int.from_bytes(os.urandom(7), "little") + 1,
        crashed=crashed_in(hand),
        replays=Replays(letters),
        log=log,
    )
    if source is not None:
        give_source(instance, source, clock.now, clock.wall)
        return instance, None
    if assignment.role is Role.SINK and assignment.connector:
        give_sink(instance, open_sink(assignment.connector, _owner(assignment)))
        return instance, None
    if assignment.gateway is not None:
        give_gateway(instance, assignment.gateway, folder, clock.wall)
        return instance, None
    assert assignment.code is not None
    home = SqliteHome(Path(assignment.state), assignment.node, assignment.instance, assignment.epoch)
    algorithm = load_algorithm(assignment.code, assignment.kept)
    if not assignment.ttl_s:
        return instance, give_algorithm(instance, algorithm, hand, clock.now, clock.wall, home)
    from streamer.runtime.deadline import Deadline  # few nodes have one

    deadline = Deadline(assignment.ttl_s, clock.now, _overdue)
    work = give_algorithm(instance, algorithm, hand, clock.now, clock.wall, home, deadline)
    deadline.watch()
    return instance, work


def _owner(assignment: Assignment) -> Owner:
    a = assignment
    return Owner(a.job, a.node, a.instance, a.epoch, Path(a.folder))


def _overdue(ttl_s: float) -> None:
    """A handler goes on although its time is up, twice: another life of this instance is to take its place."""
    sys.stderr.write(f"a call of the handler goes on after twice its ttl of {ttl_s:g} s: this instance is replaced\n")
    _leave(DIED)


def _loop(instance: Instance, link: ControlLink, transport: ZmqTransport) -> int:
    """Step until the end; then let the work close, say so, and see that the last words have left. The exit code."""
    drive(instance, transport)
    instance.work.close()
    if instance.checkpoints is not None:
        instance.checkpoints.close()
    instance.entry.close()
    link.close()
    transport.close()
    code = RENEWED if instance.renewing else 0
    end_life(Path(instance.assignment.folder), code)
    return code


def _loop_or_die(instance: Instance, link: ControlLink, transport: ZmqTransport) -> None:
    """The loop in a thread beside the user's `start`: whatever ends it ends the process."""
    try:
        code = _loop(instance, link, transport)
    except BaseException as error:  # noqa: BLE001  # supervising: the traceback goes to the log, and a new life follows
        code = _ended_by(error, instance)
    _leave(code)


def _ended_by(error: BaseException, instance: Instance) -> int:
    """Show what has ended the loop; gives the exit code."""
    _tell(error)
    if isinstance(error, HandlerError) and error.__cause__ is not None:
        end_life(Path(instance.assignment.folder), HANDLER_FAILED, user_traceback(error.__cause__))
        return HANDLER_FAILED
    return DIED


def _stateful(instance: Instance, link: ControlLink, transport: ZmqTransport, work: AlgorithmWork) -> None:
    """Run the user's `start` in this thread; the loop goes on when it returns, and ends the process."""
    thread = Thread(target=_loop_or_die, args=(instance, link, transport), name="messages")
    thread.start()
    try:
        work.start()
    except StreamEndedError:
        pass  # it went on sending after the end, as an endless loop does
    except BaseException as error:  # noqa: BLE001  # the user's start has failed: a new life may do better
        _tell(error)
        if isinstance(error, StateError):  # it cannot
            end_life(Path(instance.assignment.folder), CANNOT_OPEN)
            _leave(CANNOT_OPEN)
        _leave(DIED)
    work.start_returned.set()
    instance.wake()
    thread.join()


def _keep_memory() -> None:
    """Have glibc keep the memory of frames that were freed: giving it back costs a page fault for each page anew."""
    try:
        allocator = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    allocator(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES)
    allocator(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD_BYTES)


def _tell(error: BaseException) -> None:
    """Show an error: of user code without our frames, what says all that is to be said by itself, all else whole."""
    last = f"{error}. {error.advice}" if isinstance(error, StreamerError) else ""
    shown = error.__cause__ if last else error
    if shown is None:
        text = last
    elif isinstance(error, AlgorithmError | HandlerError) or has_user_frames(shown):
        text = user_traceback(shown) + last
    else:
        text = last or "".join(traceback.format_exception(shown))
    sys.stderr.write(text.rstrip("\n") + "\n")


def _leave(code: int) -> None:
    """End the process now, whatever threads the user has left behind."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main(path: str) -> int:
    """Run the instance whose assignment is in this file; gives its exit code."""
    for stream in (sys.stdout, sys.stderr):  # what algorithms print must be seen when it is printed, and before a kill
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # both are text files of the interpreter
    assignment = Assignment.from_json(Path(path).read_text())
    if assignment.alone:
        print_lossily()
    folder = Path(assignment.folder)
    begin_life(folder, assignment.epoch, started_at(os.getpid()))
    transport = ZmqTransport(assignment.token)
    try:
        instance, algorithm = _build(assignment, transport)
    except (AlgorithmError, ConnectorError, StateError) as error:
        _tell(error)
        end_life(folder, CANNOT_OPEN)
        return CANNOT_OPEN
    except BaseException as error:  # noqa: BLE001  # the user's init has failed, or the machine: a new life may do better
        _tell(error)
        return DIED
    link = ControlLink(
        transport.context,
        assignment.control,
        assignment.token,
        instance.sample,
        instance.facts,
        instance.command,
        instance.inbox.sessions,
        lambda: instance.beat_at,
        alone=assignment.alone,
    )
    link.start()
    _keep_memory()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    if assignment.durability is Durability.LOG:
        sys.setswitchinterval(_SWITCH_S)
    try:
        if algorithm is not None and assignment.role is Role.STATEFUL:
            _stateful(instance, link, transport, algorithm)
        else:
            _leave(_loop(instance, link, transport))
    except BaseException as error:  # noqa: BLE001  # supervising: the traceback goes to the log, and a new life follows
        _leave(_ended_by(error, instance))
    return 0
