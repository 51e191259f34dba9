"""A whole pipeline in a test: messages in at its sources, messages out of its sinks, and failures on demand.

The algorithms are the user's own files and the engine is the real one, sessions, settlement, redelivery and controller
included; only time, the wire and the connectors are replaced. So a test needs no port, no folder and no wait, and comes
out the same each time. What a test like this cannot show is how fast a pipeline is, and what happens between the
threads of an algorithm: `streamer run` shows that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import replace
from pathlib import Path
from threading import Thread, get_ident
from typing import Any

from streamer.connectors.installed import connector_tables
from streamer.control.jobs import JobAccount
from streamer.descriptor.load import load
from streamer.errors import DescriptorError, HarnessError
from streamer.plan.assignment import Role
from streamer.plan.compile import Plan, PlannedNode, compile_plan
from streamer.runtime.dead_letters import DeadLetter
from streamer.testing.failures import Demands, Failure, fail, kill, no_node
from streamer.testing.guests import Guests
from streamer.testing.life import Life
from streamer.testing.network import Host
from streamer.testing.promises import PromiseError, Watch
from streamer.testing.world import Scene, World
from streamer.transport.base import Parts

__all__ = ["Played", "fail", "kill", "run"]

JOB_S_MAX = 600.0
"""Virtual seconds in which a played job must end, restarts and timeouts included."""
CALL_S_MAX = 10.0
"""Seconds of the machine that one call of the user's code may take."""
_LOOK_S = 0.1

Descriptor = str | Path | Sequence[str | Path] | Plan


class Played(dict[str, list[Any]]):
    """What came into each sink, in the order in which it came; `dead_letters` were given up on the way."""

    def __init__(self, sinks: Mapping[str, list[Any]], dead_letters: Sequence[DeadLetter], account: JobAccount) -> None:
        super().__init__(sinks)
        self.dead_letters = tuple(dead_letters)
        self.account = account


def run(
    pipeline: Descriptor,
    messages: Mapping[str, Sequence[object]],
    *,
    failures: Sequence[Failure] = (),
    settings: Sequence[str] = (),
    inputs: Sequence[str] = (),
    seed: int = 0,
    job_s_max: float = JOB_S_MAX,
    call_s_max: float = CALL_S_MAX,
) -> Played:
    """Play a job to its end: `{source: messages}` go in, and `{sink: messages}` come out.

    `pipeline` is a plan, or the files and folders of its descriptor, with `settings` and `inputs` as in --set and
    --input. Sources, gateways, and stateful nodes into which nothing flows can be fed; a source or gateway that is not
    sends nothing. `seed` decides about delays, and with that about the order of what may come in any order.

    Raises DescriptorError, AlgorithmError, HarnessError, and what the user's code raises outside of handlers.
    """
    plan = pipeline if isinstance(pipeline, Plan) else _compiled(pipeline, settings, inputs)
    demands = Demands(plan, failures)
    plan = _fed(plan, messages)
    guests = Guests({node.name: node.code for node in plan.nodes.values() if node.code is not None}, demands)
    records = {node.name: messages.get(node.name, ()) for node in plan.nodes.values() if node.role is Role.SOURCE}
    world = World(Scene(plan, records, guests.makes, replayable=False), seed, _Prompter(demands))
    try:
        _attend(lambda: world.run(job_s_max), guests, call_s_max)
    except PromiseError as error:
        guests.check()
        raise HarnessError(str(error)) from error
    finally:
        guests.close()
    guests.check()
    demands.check()
    sinks = {node.name: _written(world, node.name) for node in plan.nodes.values() if node.role is Role.SINK}
    return Played(sinks, world.letters.letters, world.account())


def _compiled(pipeline: str | Path | Sequence[str | Path], settings: Sequence[str], inputs: Sequence[str]) -> Plan:
    paths = [pipeline] if isinstance(pipeline, str | Path) else pipeline
    loaded = load([Path(path) for path in paths], settings=settings, inputs=inputs, connectors=connector_tables())
    if loaded.pipeline is None:
        raise DescriptorError("\n".join(str(finding) for finding in loaded.findings))
    return compile_plan(loaded.pipeline, loaded.algorithms, folder=Path.cwd())


def _fed(plan: Plan, messages: Mapping[str, Sequence[object]]) -> Plan:
    """The plan with a list in the place of each source, gateway, and fed algorithm. Raises HarnessError."""
    problems = [problem for name in messages if (problem := _feeding_problem(plan, name))]
    if problems:
        raise HarnessError("\n".join(problems), remedy=f"These can be fed: {', '.join(_entries(plan)) or 'none'}.")
    nodes = {}
    for name, node in plan.nodes.items():
        listed = name in messages or node.role is Role.GATEWAY
        nodes[name] = replace(node, role=Role.SOURCE, code=None, gateway=None, replicas=1) if listed else node
    return replace(plan, nodes=nodes)


def _feeding_problem(plan: Plan, name: str) -> str | None:
    if name not in plan.nodes:
        return no_node(plan.nodes, name)
    return None if name in _entries(plan) else f"node {name} cannot be fed: its messages come from other nodes"


def _entries(plan: Plan) -> list[str]:
    return [name for name, node in plan.nodes.items() if _is_entry(node)]


def _is_entry(node: PlannedNode) -> bool:
    return node.role in (Role.SOURCE, Role.GATEWAY) or (node.role is Role.STATEFUL and not node.inputs)


def _written(world: World, node: str) -> list[Any]:
    return [value for name, disk in world.disks.items() if name.rpartition("-")[0] == node for value in disk.written]


def _attend(play: Callable[[], object], guests: Guests, call_s_max: float) -> None:
    """Play in a thread that can be left alone with a call that never returns. Raises what the play raises."""
    end: Future[None] = Future()

    def perform() -> None:
        guests.thread = get_ident()
        try:
            play()
        except BaseException as error:  # noqa: BLE001  # it is raised where the test has called
            end.set_exception(error)
        else:
            end.set_result(None)

    Thread(target=perform, name="play", daemon=True).start()
    while not wait([end], _LOOK_S).done:
        if (overdue := guests.overdue(call_s_max)) is not None:
            raise _unreturned(*overdue, call_s_max)
    end.result()


def _unreturned(node: str, function: str, call_s_max: float) -> HarnessError:
    message = f"node {node}: {function} has not returned after {call_s_max:g} s"
    if function == "start":
        return HarnessError(
            message,
            remedy="A start that loops has no place in virtual time: let it return once it has sent or has registered "
            f"its listener. A node into which nothing flows can be fed in its stead: run(..., {{{node!r}: [...]}}).",
        )
    return HarnessError(message, remedy="See what it waits for, or give it more time: run(..., call_s_max=60).")


class _Prompter(Watch):
    """In the place of the watch, which must know what messages look like: sees to it that sources and sinks fail."""

    def __init__(self, demands: Demands) -> None:
        super().__init__(replayable=False)
        self._demands = demands

    def read(self, life: Life, record: object) -> None:
        """A user's record may be anything."""

    def stepped(self, life: Life) -> None:
        self._demands.step(life)

    def up(self, connection: int, host: Host, parts: Parts) -> None:
        """Frames are the engine's own business."""

    def down(self, connection: int, host: Host, parts: Parts) -> None:
        """Frames are the engine's own business."""
