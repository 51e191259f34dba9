"""Two machines, as namespaces of the network with a cable between them: found through the log, and CURVE on the cable.

A namespace has a loopback of its own, so the broker is brought into each through a socket in the file system. Without
root there are no such namespaces: then this is skipped on a laptop and fails where CI is set.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from streamer.cluster_limits import AGENT_GONE_S
from streamer.control.book import find
from streamer.kafka.settings import KafkaSettings
from streamer.log.base import ControlLog
from streamer.log.kafka.log import KafkaLog
from tests.cluster.machines import PATIENCE_S, Machines
from tests.conftest import Tell
from tests.kafka.broker import bootstrap

_MOMENT_S = AGENT_GONE_S / 3
_ADDRESSES = ("10.203.117.1", "10.203.117.2")
_CARRY = """
import asyncio, sys

async def carry(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()

async def main(listen, to):
    async def serve(reader, writer):
        try:
            there = await (asyncio.open_unix_connection(to) if "/" in to
                           else asyncio.open_connection(*to.split(":")))
        except OSError:
            writer.close()
            return
        await asyncio.gather(carry(reader, there[1]), carry(there[0], writer))
    server = await (asyncio.start_unix_server(serve, listen) if "/" in listen
                    else asyncio.start_server(serve, *listen.split(":")))
    print("ready", flush=True)
    await server.serve_forever()

asyncio.run(main(*sys.argv[1:]))
"""
_KNOCK = """
import sys, zmq
from zmq.utils.monitor import recv_monitor_message

context = zmq.Context()
socket = context.socket(zmq.DEALER)
monitor = socket.get_monitor_socket()
socket.connect(sys.argv[1])
while monitor.poll(10_000):
    event = recv_monitor_message(monitor)["event"]
    if event in (zmq.EVENT_HANDSHAKE_SUCCEEDED, zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL,
                 zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL, zmq.EVENT_HANDSHAKE_FAILED_AUTH, zmq.EVENT_DISCONNECTED):
        print("let in" if event == zmq.EVENT_HANDSHAKE_SUCCEEDED else "turned away")
        break
socket.close(0)
"""


@dataclass(frozen=True)
class _Namespace:
    """A machine, and the process that brings the broker into it."""

    name: str
    address: str
    carrier: subprocess.Popen[bytes]

    @property
    def prefix(self) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.name)

    def cut(self) -> None:
        """From the broker: what is sent there goes nowhere, and nobody says so."""
        self.carrier.send_signal(signal.SIGSTOP)

    def mend(self) -> None:
        self.carrier.send_signal(signal.SIGCONT)


@contextmanager
def _carried(arguments: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
    finally:
        process.kill()
        process.wait()


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@contextmanager
def _namespaces(folder: Path, broker: str) -> Iterator[list[_Namespace]]:
    """Two of them, joined, each with the broker at its usual address."""
    names = [f"streamer-{uuid.uuid4().hex[:6]}" for _ in range(2)]
    with ExitStack() as undo:
        try:
            for name in names:
                _ip("netns", "add", name)
                undo.callback(_ip, "netns", "delete", name)
            ends = [name.replace("streamer-", "sv") for name in names]
            _ip("link", "add", ends[0], "netns", names[0], "type", "veth", "peer", "name", ends[1], "netns", names[1])
        except (OSError, subprocess.CalledProcessError) as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"no namespaces of the network: {error}")
        unix = str(folder / "broker")
        undo.enter_context(_carried([sys.executable, "-c", _CARRY, unix, broker]))
        found = []
        for name, end, address in zip(names, ends, _ADDRESSES, strict=True):
            _ip("-n", name, "address", "add", f"{address}/24", "dev", end)
            _ip("-n", name, "link", "set", end, "up")
            _ip("-n", name, "link", "set", "lo", "up")
            inside = ["ip", "netns", "exec", name, sys.executable, "-c", _CARRY, broker, unix]
            found.append(_Namespace(name, address, undo.enter_context(_carried(inside))))
        yield found


@pytest.fixture
def two(tmp_path: Path) -> Iterator[list[_Namespace]]:
    with _namespaces(tmp_path, bootstrap()) as found:
        yield found


@pytest.fixture
def machines(tmp_path: Path, two: list[_Namespace]) -> Iterator[Machines]:
    """A controller outside of both, and an agent on each."""
    made = Machines(tmp_path, bootstrap())
    try:
        made.start("controller", "controller")
        for one in two:
            made.agent(one.name, "--advertise", one.address, prefix=one.prefix)
        yield made
    finally:
        made.close()


def test_instances_on_two_machines_meet_through_the_log_and_speak_curve(
    machines: Machines, two: list[_Namespace]
) -> None:
    job = machines.submit("words")
    by_agent = {one["instance"]: one["agent"] for one in machines.status(job)["instances"]}
    assert set(by_agent.values()) == {one.name for one in two}
    machines.until(lambda: machines.lines("words") > 200)

    endpoint = _endpoint_of(machines, job)
    knock = [*two[1].prefix, sys.executable, "-c", _KNOCK, endpoint]
    assert subprocess.run(knock, check=True, capture_output=True, text=True).stdout == "turned away\n"

    account = machines.stopped(job)
    into_sink = sum(edge["sent"] for edge in account["edges"] if edge["target"] == "save")
    assert machines.lines("words") == into_sink > 200


@pytest.mark.parametrize(
    ("keeper", "given_up"),
    [
        pytest.param("save", False, id="for a moment"),
        pytest.param("lines", True, id="that of the source till it is given up"),
        pytest.param("save", True, id="that of the sink till it is given up"),
    ],
)
def test_a_machine_that_is_cut_from_kafka_goes_on_with_its_messages_and_catches_up(
    machines: Machines, two: list[_Namespace], keeper: str, given_up: bool, tell: Tell
) -> None:
    """Its instances are cut from the control log and not from each other. After 6 s, or more if the controller has been
    without a broker as well, what keeps nothing is started elsewhere too. It takes over as soon as it can pass on what
    it gets, which it cannot while those that it would send to are cut off; then the older life is turned away, and what
    that had in hand is handled again."""
    job = machines.submit("words")
    before = machines.status(job)["instances"]
    places = {one["node"]: one["agent"] for one in before if one["node"] != "parse"}
    assert sorted(places.values()) == sorted(one.name for one in two), "each has one that keeps something"
    cut = next(one for one in two if one.name == places[keeper])
    machines.until(lambda: machines.lines("words") > 100)

    began, slowest, elsewhere = time.monotonic(), 0.0, False
    deadline = began + (PATIENCE_S if given_up else _MOMENT_S)
    with closing(KafkaLog(KafkaSettings(machines.bootstrap, prefix=machines.prefix))) as log:
        cut.cut()
        while (now := time.monotonic()) < deadline:
            at = machines.lines("words")
            machines.until(lambda at=at: machines.lines("words") > at)  # type: ignore[misc]  # it goes on all the time
            slowest = max(slowest, time.monotonic() - now)
            if not elsewhere and _machines_of(log, job, "parse") == {one.name for one in two if one is not cut}:
                elsewhere, deadline = True, time.monotonic() + _MOMENT_S  # with both of its lives
    if given_up:
        assert "machine silent" in machines.ok("status", job), "what keeps something waits for its machine"
    meanwhile, gone_s = machines.lines("words"), time.monotonic() - began
    cut.mend()

    machines.until(lambda: "machine silent" not in machines.ok("status", job))
    machines.ok("scale", job, "parse", 3)
    machines.until(lambda: len(machines.pids(job)) == 5)
    after = {one["instance"]: one["starts"] for one in machines.status(job)["instances"]}
    assert elsewhere == given_up
    if not given_up:
        assert after == {**{one["instance"]: 1 for one in before}, "parse-2": 1}, "nobody was started again"
    account = machines.stopped(job)
    numbers = {json.loads(line)["id"] for line in (machines.folder / "words.jsonl").open()}
    (read,) = {edge["sent"] - edge["abandoned"] for edge in account["edges"] if edge["source"] == "lines"}
    assert numbers == set(range(read))
    tell(f"cut for {gone_s:.1f} s: at most {slowest:.2f} s without a message, {meanwhile} then, {len(numbers)} in all")


def _machines_of(log: ControlLog, job: str, node: str) -> set[str]:
    """Where the instances of a node have their place."""
    kept = find(log, job)
    assert kept is not None
    return {line.agent for line in kept.instances if line.node == node}


def _endpoint_of(machines: Machines, job: str) -> str:
    """Where the source's edges are bound."""
    with closing(KafkaLog(KafkaSettings(machines.bootstrap, prefix=machines.prefix))) as log:
        kept = find(log, job)
    assert kept is not None
    (endpoint,) = [line.endpoint for line in kept.instances if line.instance == "lines-0"]
    assert endpoint.startswith(tuple(f"tcp://{address}:" for address in _ADDRESSES))
    return endpoint
