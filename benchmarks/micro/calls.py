"""Calling the user's function for each message of a frame, and collecting what it returns or sends.

A node of the scenarios is put together as its process would do it, on a wire inside this process, and is given the same
frame again and again; what it sends is dropped. The reference calls the same lines in a plain loop.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.micro.timing import FRAME, Case, message
from benchmarks.scenario.engine import algorithm, plan_of, source
from benchmarks.scenario.straight_stage import on_message
from streamer import clock
from streamer.plan.assignment import Assignment, Role
from streamer.plan.compile import Plan
from streamer.protocol.codec import join, packer, unpack
from streamer.protocol.frames import decode_data, encode_data
from streamer.protocol.input_frame import InputFrame
from streamer.protocol.segment import Segment
from streamer.protocol.session import ReceivingSession
from streamer.runtime.algorithm import load_algorithm
from streamer.runtime.instance import Instance
from streamer.runtime.roles import give_algorithm
from streamer.runtime.turn import HAND_WORDS
from streamer.state.account import AccountPage
from streamer.state.dead_letters import DeadLetters
from streamer.state.home import SqliteHome
from streamer.transport.memory import MemoryHub, MemoryTransport


def _body() -> bytes:
    pack = packer()
    return join([pack(message(n)) for n in range(FRAME)])


def _instance(assignment: Assignment, folder: Path) -> Instance:
    numbers = itertools.count(1)
    return Instance(
        assignment,
        MemoryTransport(MemoryHub()),
        AccountPage(folder, tuple(output.target for output in assignment.wiring.outputs), replayable=False),
        DeadLetters(folder / "dead-letters"),
        clock=clock.now,
        wall=clock.wall,
        number=lambda: next(numbers),
    )


def _frame(assignment: Assignment) -> InputFrame:
    """A frame from the source, for this node's only position in the flow."""
    (table,) = assignment.wiring.tables
    route = next(number for number, route in table.numbered() if route.node == assignment.node)
    segment = Segment(7, range(FRAME), 5, None, route, 0, 0)
    parts = encode_data(1, [segment], FRAME, _body(), False)
    return InputFrame(ReceivingSession(1, "source", False, lambda _count: None), decode_data(parts), 0.0)


def _handling(plan: Plan, node: str, folder: Path) -> Callable[[], None]:
    home = folder / node
    home.mkdir()
    assignment = plan.assignment(
        node, 0, job="micro", token="", epoch=1, folder=home, dead_letters=home / "dead-letters", control=""
    )
    assert assignment.code is not None
    instance = _instance(assignment, home)
    hand = memoryview(bytearray(8 * HAND_WORDS)).cast("Q")
    state = SqliteHome(home / "state", node, assignment.instance, 1)
    work = give_algorithm(instance, load_algorithm(assignment.code), hand, clock.now, clock.wall, state)
    if plan.nodes[node].role is Role.STATEFUL:
        work.start()
    frame = _frame(assignment)

    def handle() -> None:
        work.handle(frame)
        instance.outbox.reset(None)

    return handle


def _of_nodes(state_type: str) -> tuple[Callable[[], None], Callable[[], None]]:
    """A relay and a sink of this type. Their files are gone when they are made; what is mapped of them stays."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        sink = algorithm("sink", state_type, "count", str(folder / "tally"))
        plan = plan_of([source(100), algorithm("relay", state_type, "relay"), sink], folder)
        return _handling(plan, "relay", folder), _handling(plan, "sink", folder)


def _of_counts(keys: int) -> tuple[Callable[[], None], Callable[[], None]]:
    """Sinks that count by key, in `api.state` and in a variable, without their checkpoints."""
    handled = []
    for where in ("state", "variable"):
        with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
            folder = Path(name)
            sink = algorithm("sink", "stateful", "keyed", str(folder / "tally"), keys, where)
            handled.append(_handling(plan_of([source(100), sink], folder), "sink", folder))
    return handled[0], handled[1]


def _count(body: bytes) -> None:
    count = 0

    def on_each(_message: dict[str, Any]) -> None:
        nonlocal count
        count += 1

    for received in unpack(body):
        on_each(received)


def cases() -> dict[str, Case]:
    body, pack = _body(), packer()
    stateless, stateful = _of_nodes("stateless"), _of_nodes("stateful")
    kept, forgotten = _of_counts(FRAME)
    return {
        "unpack and count": Case(lambda: _count(body)),
        "stateless that counts": Case(stateless[1], reference="unpack and count"),
        "stateful that counts": Case(stateful[1], reference="unpack and count"),
        "stateful that counts by key in a dict": Case(forgotten),
        "stateful that counts by key in api.state": Case(kept, reference="stateful that counts by key in a dict"),
        "unpack, change and pack": Case(lambda: [pack(on_message(received)) for received in unpack(body)]),
        "stateless that returns": Case(stateless[0], reference="unpack, change and pack"),
        "stateful that sends": Case(stateful[0], reference="unpack, change and pack"),
    }
