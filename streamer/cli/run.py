"""`streamer run`: from descriptors to the account of a job that has ended.

Everything that can be refused is refused before the job exists: a descriptor, an algorithm that does not import, a
port in use. From then on the command only watches: it serves the host, shows what it says, and passes on what the
user asks for. The first Ctrl-C drains and the second one ends at once, whatever else is going on: a user who presses
it twice does not want to wait for an exception to the rule.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from autoscaler.embedded import EmbeddedAutoscaler
from streamer.cli.detach import detach
from streamer.cli.exits import BAD_INPUT, FAILED, OK
from streamer.cli.figures import figures, node_of
from streamer.cli.interrupts import Interrupts
from streamer.cli.jobs import home_folder, take_up_lost_jobs
from streamer.cli.on_kafka import chosen_cluster
from streamer.cli.output import account_table, say, tell, terminal_width
from streamer.cli.plans import compiled
from streamer.cli.progress import ProgressLog, progress_line
from streamer.control.hosts.embedded import EmbeddedHost
from streamer.control.hosts.home import DEAD_LETTERS_FILE
from streamer.control.hosts.resume import lost_input
from streamer.control.jobs import JobAccount, JobSnapshot, JobStatus
from streamer.control.lifecycle import InstancePhase
from streamer.control.preflight import preflight
from streamer.descriptor.resources import parse_capacity
from streamer.limits import DRAIN_S
from streamer.metrics.endpoint import Endpoint
from streamer.metrics.exposition import Observation
from streamer.plan.compile import Plan
from streamer.state.dead_letters import DeadLetters

_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the user asked for. `duration_s`: drain after this time; `metrics_port` 0 chooses a free one.

    `detach`: the job outlives the command. `autoscale`: replicas follow the load, within `capacity`.
    """

    files: tuple[Path, ...]
    settings: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    duration_s: float | None = None
    as_json: bool = False
    metrics_port: int = 0
    detach: bool = False
    autoscale: bool = True
    capacity: str = ""


class Screen(Protocol):
    """Where a job is shown while it lives."""

    def show(self, snapshot: JobSnapshot) -> None: ...

    def output(self, node: str, instance: str, line: str) -> None: ...

    def notice(self, text: str) -> None: ...

    def close(self) -> None: ...


def run(options: RunOptions) -> int:
    """The exit code. Raises StreamerError for what cannot be used as it was given."""
    parse_capacity(options.capacity)
    plan = _prepare(options)
    if plan is None:
        return BAD_INPUT
    if bootstrap := chosen_cluster():
        return _on_cluster(plan, bootstrap, options)
    capacity = options.capacity if options.autoscale else None
    if options.detach:
        return detach(
            plan,
            duration_s=options.duration_s,
            metrics_port=options.metrics_port,
            as_json=options.as_json,
            capacity=capacity,
        )
    take_up_lost_jobs()
    screen: Screen
    with closing(Endpoint(options.metrics_port)) as endpoint, Interrupts() as interrupts:
        host = EmbeddedHost(
            plan,
            home_folder(),
            on_output=lambda node, instance, line: screen.output(node, instance, line),
            stdout_to_stderr=options.as_json,
            metrics=endpoint.url,
            capacity=capacity,
        )
        tell(
            f"job {host.job} of pipeline {plan.pipeline}\n  metrics  {endpoint.url}\n  logs     {host.folder / 'logs'}"
        )
        screen = _screen(plan, options)
        with closing(screen), closing(host):
            host.start()
            autoscaler = autoscaler_of(host, capacity, screen.notice)
            last = _watch(host, options.duration_s, screen, endpoint, interrupts, autoscaler)
            account = host.account()
    tell(progress_line(figures(None, last)))
    _conclude(account, last, to_stderr=_writes_stdout(plan), as_json=options.as_json)
    return FAILED if last.status is JobStatus.FAILED or last.killed else OK


def submit(options: RunOptions) -> int:
    """The exit code. On one machine a submitted job is a detached one."""
    return run(dataclasses.replace(options, detach=True))


def _on_cluster(plan: Plan, bootstrap: str, options: RunOptions) -> int:
    if options.detach:
        from streamer.cli import submit as submission

        return submission.submit(plan, bootstrap, duration_s=options.duration_s, as_json=options.as_json)
    from streamer.cli.attended import run_attended

    return run_attended(plan, bootstrap, duration_s=options.duration_s, as_json=options.as_json)


def _prepare(options: RunOptions) -> Plan | None:
    """The plan; None if there were findings, which are told."""
    plan = compiled(options.files, options.settings, options.inputs, folder=Path.cwd())
    if plan is None:
        return None
    checked = preflight(plan, home_folder())
    for problem in checked.findings:
        tell(problem)
    return None if checked.findings else checked.plan


def _screen(plan: Plan, options: RunOptions) -> Screen:
    """The live view, unless nobody would see it or records are written to the same terminal."""
    seen = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    records = _writes_stdout(plan) and (options.as_json or sys.stdout.isatty())
    if not seen or records:
        return ProgressLog(tell)
    from rich.console import Console

    from streamer.cli.view import LiveView

    return LiveView(Console(stderr=True), "Ctrl-C drains, a second one ends at once")


def _writes_stdout(plan: Plan) -> bool:
    return any(node.connector is not None and node.connector.name == "stdout" for node in plan.nodes.values())


def _watch(
    host: EmbeddedHost,
    duration_s: float | None,
    screen: Screen,
    endpoint: Endpoint,
    interrupts: Interrupts,
    autoscaler: EmbeddedAutoscaler | None,
) -> JobSnapshot:
    """Serve the job until it has ended; its last snapshot."""
    draining = killing = False
    before: JobSnapshot | None = None
    while True:
        snapshot = host.poll(_POLL_S)
        publish(endpoint, snapshot, autoscaler)
        for text in news(before, snapshot):
            screen.notice(text)
        screen.show(snapshot)
        if snapshot.status.ended:
            return snapshot
        if interrupts.count > 1 and not killing:
            killing = True
            screen.notice("ending at once")
            host.kill()
        elif not draining and (interrupts.count or (duration_s is not None and snapshot.elapsed_s >= duration_s)):
            draining = True
            screen.notice(_drain_notice(interrupts.count))
            host.drain()
        before = snapshot


def _drain_notice(interrupts: int) -> str:
    again = "again" if interrupts else "twice"
    return f"draining: what is in flight is finished (at most {DRAIN_S:.0f} s; Ctrl-C {again} ends at once)"


def news(before: JobSnapshot | None, snapshot: JobSnapshot) -> Sequence[str]:
    """What happened since the snapshot before and deserves a line of its own."""
    told = before.addresses if before is not None else {}
    gateways = [f"gateway {node}  {url}" for node, url in snapshot.addresses.items() if told.get(node) != url]
    if before is None:
        return gateways
    deaths = [
        f"node {node}: an instance died and is started again, see its log (restarts: {count})"
        for node, count in snapshot.restarts.items()
        if count > before.restarts.get(node, 0)
    ]
    updates = [f"update: {snapshot.update}"] if snapshot.update not in ("", before.update) else []
    return gateways + deaths + updates


def autoscaler_of(host: EmbeddedHost, capacity: str | None, tell: Callable[[str], None]) -> EmbeddedAutoscaler | None:
    """Who scales the job of this host; None if nobody is to."""
    return None if capacity is None else EmbeddedAutoscaler(host, parse_capacity(capacity), tell)


def publish(endpoint: Endpoint, snapshot: JobSnapshot, autoscaler: EmbeddedAutoscaler | None) -> None:
    """Let the autoscaler look, and show the job to whoever scrapes it."""
    if autoscaler is None:
        endpoint.publish(observation(snapshot))
        return
    autoscaler.look(snapshot)
    endpoint.publish(replace(observation(snapshot), beside=autoscaler.metrics()))


def observation(snapshot: JobSnapshot) -> Observation:
    """What Prometheus sees: samples of living instances, and all states of every node, zeros included."""
    phases = {instance: InstancePhase(state) for instance, state in snapshot.instances.items()}
    counts = Counter((node_of(instance), phase) for instance, phase in phases.items())
    return Observation(
        job=snapshot.job,
        pipeline=snapshot.pipeline,
        samples=tuple(
            sample for instance, sample in snapshot.samples.items() if instance in phases and phases[instance].living
        ),
        replicas={node: {str(phase): counts[node, phase] for phase in InstancePhase} for node in snapshot.plan.nodes},
        desired={name: snapshot.desired.get(name, node.replicas) for name, node in snapshot.plan.nodes.items()},
        ages_s=snapshot.ages_s,
    )


def _conclude(account: JobAccount, last: JobSnapshot, *, to_stderr: bool, as_json: bool) -> None:
    """Show how it ended."""
    if last.error:
        tell(last.error)
    if last.status is JobStatus.FAILED and not lost_input(last.plan):
        tell(f"once this is mended, it goes on from where it stood: streamer resume {last.job}")
    if letters := DeadLetters(last.folder / DEAD_LETTERS_FILE).count():
        tell(f"dead letters: {letters} (streamer dlq list {last.job})")
    if as_json:
        say(account.to_json())
        return
    stream = sys.stderr if to_stderr else sys.stdout
    table = account_table(dataclasses.asdict(account), terminal_width(stream))
    if to_stderr:
        tell(table)
    else:
        say(table)
