"""A supervisor of real instance processes, reduced to what their tests need: it introduces them to each other.

The chain is numbers >> work >> out: a generator, an algorithm of the test, and a file. Unlike the controller it never
starts anything again by itself, so that a test can look at what a death has left.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from streamer.control.hosts.link import ControlLink
from streamer.metrics.samples import InstanceSample, InstanceState
from streamer.plan.assignment import (
    Assignment,
    Code,
    Command,
    Connector,
    Delivery,
    Input,
    Output,
    Peer,
    Peers,
    PeerState,
    Role,
    Verb,
    Wiring,
)
from streamer.plan.routing import Route, RouteTable
from streamer.protocol.account import InstanceAccount
from streamer.state.account import read_account
from streamer.state.dead_letters import DeadLetter, DeadLetters

PATIENCE_S = 30.0
_AGAIN_S = 0.5
NODES = ("numbers", "work", "out")
ROUTES = RouteTable(tuple(Route("main", node, 0, (at + 1,) if at < 2 else ()) for at, node in enumerate(NODES)), "main")


class Office:
    """`lives` are the processes by node; `samples` the last one of each, `reports` their number."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lives: dict[str, subprocess.Popen[str]] = {}
        self.samples: dict[str, InstanceSample] = {}
        self.reports: Counter[str] = Counter()
        self._epochs: dict[str, int] = {}
        self._link = ControlLink("secret")
        self._version = 0
        self._told: object = None
        self._told_at = 0.0

    # -- processes ---------------------------------------------------------------------------------------------------

    def numbers(self, **spec: object) -> None:
        self.start("numbers", Role.SOURCE, connector=Connector("generator", spec))

    def work(self, text: str, role: Role = Role.STATELESS) -> None:
        path = self.folder / "work.py"
        path.write_text(textwrap.dedent(text))
        self.start("work", role, code=Code("work", str(path)))

    def out(self) -> None:
        spec = {"path": str(self.folder / "out.jsonl"), "format": "jsonl"}
        self.start("out", Role.SINK, connector=Connector("file", spec))

    def start(self, node: str, role: Role, *, code: Code | None = None, connector: Connector | None = None) -> None:
        at = NODES.index(node)
        self._epochs[node] = self._epochs.get(node, 0) + 1
        self.samples.pop(node, None)
        folder = self.folder / node
        folder.mkdir(exist_ok=True)
        assignment = Assignment(
            job="job",
            pipeline="words",
            token="secret",
            node=node,
            instance=f"{node}-0",
            epoch=self._epochs[node],
            role=role,
            wiring=Wiring(
                1,
                (ROUTES,),
                1,
                (Input(NODES[at - 1], False),) if at else (),
                (Output(NODES[at + 1], False, Delivery.AT_LEAST_ONCE, 1 << 26, 64),) if at < 2 else (),
            ),
            folder=str(folder),
            dead_letters=str(self.folder / "dead.sqlite"),
            state=str(self.folder / "state" / node),
            control=self._link.endpoint,
            code=code,
            connector=connector,
            args={"nodeName": node},
        )
        path = folder / "assignment.json"
        path.write_text(assignment.to_json())
        command = [sys.executable, "-m", "streamer.runtime", str(path)]
        self.lives[node] = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def died(self, node: str) -> tuple[int, str]:
        """Wait for the end of a life; gives its exit code and what it said."""
        self.until(lambda: self.lives[node].poll() is not None)
        _, said = self.lives[node].communicate(timeout=PATIENCE_S)
        return self.lives[node].returncode, said

    def kill(self, node: str) -> None:
        self.lives[node].kill()
        self.lives[node].communicate(timeout=PATIENCE_S)

    def close(self) -> None:
        for life in self.lives.values():
            life.kill()
            life.communicate(timeout=PATIENCE_S)
        self._link.close()

    # -- supervising -------------------------------------------------------------------------------------------------

    def until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < deadline, f"not in {PATIENCE_S:g} s; {self.samples}"
            self._link.socket.poll(20)
            for sample in self._link.receive():
                if sample.epoch == self._epochs[sample.node]:
                    self.samples[sample.node] = sample
                    self.reports[sample.node] += 1
            self._introduce()

    def until_ended(self, *nodes: str) -> None:
        self.until(lambda: all(self.lives[node].poll() is not None for node in nodes))

    def say_again(self, node: str) -> None:
        """What it knows already."""
        self._link.send(f"{node}-0", self._epochs[node], Command(Verb.PEERS, Peers(0)))

    def _introduce(self) -> None:
        """Tell everybody who is there, at each change and now and then."""
        peers = {node: self._peer(node) for node in self.lives}
        facts = (peers, tuple(self.samples))
        now = time.monotonic()
        if facts == self._told and now - self._told_at < _AGAIN_S:
            return
        self._version += facts != self._told
        self._told, self._told_at = facts, now
        for node in self.samples:
            at = NODES.index(node)
            parents = tuple(peers[n] for n in NODES[max(at - 1, 0) : at] if n in peers)
            children = tuple(peers[n] for n in NODES[at + 1 : at + 2] if n in peers)
            self._link.send(
                f"{node}-0", self._epochs[node], Command(Verb.PEERS, Peers(self._version, parents, children))
            )

    def _peer(self, node: str) -> Peer:
        sample = self.samples.get(node)
        gone = sample is not None and sample.state is InstanceState.ENDED and self.lives[node].poll() == 0
        state = PeerState.GONE if gone else PeerState.LIVE
        return Peer(node, f"{node}-0", self._epochs[node], sample.endpoint if sample else "", state)

    # -- what is left ------------------------------------------------------------------------------------------------

    def account(self, node: str) -> InstanceAccount:
        account = read_account(self.folder / node)
        assert account is not None
        assert all(edge.balanced for edge in account.edges), account
        return account

    @property
    def lines(self) -> list[str]:
        return (self.folder / "out.jsonl").read_text().splitlines()

    @property
    def letters(self) -> list[DeadLetter]:
        return [kept.letter for kept in DeadLetters(self.folder / "dead.sqlite").find()]
