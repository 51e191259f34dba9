"""A cluster in one process: a controller, agents on folders of their own with real instances, and a log in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from streamer.control.book import find
from streamer.control.cluster.agent import ORDERS, Agent, Machine
from streamer.control.cluster.code import code_entries
from streamer.control.cluster.feed import DirectPost, PolledFeed
from streamer.control.cluster.host import ClusterHost
from streamer.control.cluster.wire import MEMBERS, submit_entry
from streamer.control.events import Ask
from streamer.control.hosts.embedded import INSTANCE_PROGRAM
from streamer.control.hosts.home import new_job
from streamer.control.jobs import JobAccount
from streamer.control.kept_code import ReadCode, read_code
from streamer.control.records import KeptJob
from streamer.control.state import Updated
from streamer.control.wishes import want_end, want_update
from streamer.descriptor.resources import Capacity
from streamer.log.base import Record
from streamer.log.memory import MemoryLog, MemoryStore
from streamer.log.topics import Topic
from streamer.plan.compile import Plan

PATIENCE_S = 60.0


class Scene:
    """`clock` is that of controllers and agents; instances have their own."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.store = MemoryStore()
        self.log = MemoryLog(self.store)
        self.words: list[str] = []
        self.hosts: dict[str, ClusterHost] = {}
        self.agents: dict[str, Agent] = {}
        self._carried = self.log.follow([Topic.COMMANDS, Topic.REPORTS])
        self._folder = folder
        self._clock = clock

    def controller(self, name: str) -> ClusterHost:
        """One that leads every job from now on."""
        log = MemoryLog(self.store)
        host = ClusterHost(
            log,
            name,
            PolledFeed(log.follow([Topic.JOBS], log.end([Topic.JOBS]))),
            PolledFeed(log.follow([Topic.REPORTS], log.end([Topic.REPORTS]), scope=MEMBERS)),
            DirectPost(log),
            lambda text: self.words.append(f"{name}: {text}"),
            clock=self._clock,
        )
        self.hosts[name] = host
        host.lead(lambda _job: True)
        return host

    def agent(self, name: str, *, home: str = "", capacity: Capacity | None = None, of_run: bool = False) -> Agent:
        log = MemoryLog(self.store)
        folder = self._folder / (home or name)
        agent = Agent(
            Machine(name, folder, home or name, "127.0.0.1", capacity or Capacity(), of_run),
            INSTANCE_PROGRAM,
            PolledFeed(log.follow(ORDERS)),
            DirectPost(log),
            lambda text: self.words.append(f"{name}: {text}"),
            clock=self._clock,
        )
        self.agents[name] = agent
        return agent

    def submit(self, plan: Plan, *, run_by: str = "") -> str:
        code = read_code(plan)
        facts = replace(new_job(plan, self._folder, detached=not run_by), run_by=run_by)
        self.log.append_all([*code_entries(facts.job, code), submit_entry(facts, code.plan)])
        return facts.job

    def update(self, job: str, plan: Plan) -> int:
        """The wish's number."""
        code = read_code(plan)
        self.ship(job, code)
        return want_update(self.log, job, code.plan)

    def ship(self, job: str, code: ReadCode) -> None:
        self.log.append_all(code_entries(job, code))

    def updated(self, job: str, number: int) -> Updated:
        """What has become of an update."""

        def outcomes() -> list[Updated]:
            return [one for one in self.kept(job).line.updates if one.number == number]

        self.until(lambda: bool(outcomes()))
        return outcomes()[0]

    def carried_again(self) -> list[Record]:
        """All that was ever carried."""
        found: list[Record] = []
        follower = self.log.follow([Topic.COMMANDS, Topic.REPORTS])
        while records := follower.poll(0.0):
            found += records
        return found

    def replay(self) -> None:
        """Everything is carried once more, as after a rebalance."""
        for record in self.carried_again():
            for host in self.hosts.values():
                host.take(record)

    def forget_carried(self) -> None:
        """What was said until now is not carried to anybody any more."""
        while self._carried.poll(0.0):
            continue

    def turn(self) -> None:
        """Everybody does what is due, and what was said is carried to those that lead."""
        for record in self._carried.poll(0.0):
            for host in self.hosts.values():
                host.take(record)
        for host in self.hosts.values():
            host.tick()
        for agent in self.agents.values():
            agent.serve()

    def until(self, seen: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not seen():
            assert time.monotonic() < deadline, "\n".join(self.words)
            self.turn()
            for agent in self.agents.values():
                agent.wait(0.002)

    def kept(self, job: str) -> KeptJob:
        kept = find(self.log, job)
        assert kept is not None, "\n".join(self.words)
        return kept

    def has(self, job: str) -> bool:
        return find(self.log, job) is not None

    def status(self, job: str) -> str:
        return self.kept(job).line.status if self.has(job) else ""

    def ended(self, job: str) -> JobAccount:
        """The account of the job once it has ended, and nothing runs any more."""
        self.until(lambda: self.has(job) and not self.kept(job).line.live and not any(self.lives().values()))
        account = self.kept(job).account
        assert account is not None
        return account

    def lives(self) -> Mapping[str, Mapping[str, int]]:
        """Epochs of what runs, by agent and instance."""
        return {
            name: {instance: epoch for lives in agent.lives.values() for instance, epoch in lives.items()}
            for name, agent in self.agents.items()
        }

    def drain(self, job: str) -> None:
        want_end(self.log, job, Ask.DRAIN)

    def close(self) -> None:
        for agent in self.agents.values():
            agent.end()
            agent.close()
        for host in self.hosts.values():
            host.close()
