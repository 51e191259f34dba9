"""`streamer logs`: what the instances of a job have printed, and go on printing.

Each instance has a log of its own, and lines of different instances have no common order, so they are shown one log
after another, each line with its instance before it; with `-f` then as they come, until the job has ended. Logs are
read as files: a job that hangs, or that nobody supervises, can be looked into all the same.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from streamer.cli.exits import OK
from streamer.cli.jobs import Jobs, nearest, opened_jobs
from streamer.cli.output import json_line, say
from streamer.control.hosts.home import LOGS_FOLDER
from streamer.control.records import InstanceLine, KeptJob
from streamer.errors import NoSuchJobError
from streamer.limits import MIB

_FOLLOW_S = 0.2
_READ_BYTES = MIB


def logs(name: str, node: str | None, *, follow: bool, as_json: bool) -> int:
    with opened_jobs() as jobs:
        kept = jobs.find_here(name)
        tails: dict[str, _Tail] = {}
        _show(kept, node, tails, as_json=as_json)
        while follow and kept.line.live:
            time.sleep(_FOLLOW_S)
            kept = _looked_at(jobs, kept)
            _show(kept, node, tails, as_json=as_json)
    for tail in tails.values():
        _say(tail, tail.rest(), as_json=as_json)
    return OK


def _looked_at(jobs: Jobs, kept: KeptJob) -> KeptJob:
    jobs.take_up()
    return jobs.again(kept.line.facts.job)


@dataclass(slots=True)
class _Tail:
    """One log, and how far it was shown."""

    node: str
    instance: str
    path: Path
    offset: int = 0
    partial: bytes = b""

    def lines(self) -> Iterator[bytes]:
        """Whole lines that have come since the last call; from the start, if the log was set aside and begun anew."""
        try:
            if self.path.stat().st_size < self.offset:
                self.offset, self.partial = 0, b""
            with self.path.open("rb") as file:
                file.seek(self.offset)
                while chunk := file.read(_READ_BYTES):
                    self.offset += len(chunk)
                    *lines, self.partial = (self.partial + chunk).split(b"\n")
                    yield from lines
        except FileNotFoundError:
            return

    def rest(self) -> Iterator[bytes]:
        if self.partial:
            yield self.partial


def _show(kept: KeptJob, node: str | None, tails: dict[str, _Tail], *, as_json: bool) -> None:
    folder = Path(kept.line.facts.folder) / LOGS_FOLDER
    for line in _meant(kept, node):
        path = folder / f"{line.instance}.log"
        tail = tails.setdefault(line.instance, _Tail(line.node, line.instance, path))
        _say(tail, tail.lines(), as_json=as_json)


def _say(tail: _Tail, lines: Iterator[bytes], *, as_json: bool) -> None:
    for raw in lines:
        line = raw.decode(errors="replace").rstrip("\r")
        if as_json:
            say(json_line({"node": tail.node, "instance": tail.instance, "line": line}))
        else:
            say(f"{tail.node} {tail.instance} | {line}")


def _meant(kept: KeptJob, node: str | None) -> list[InstanceLine]:
    """The instances of a node, or one instance by its own name."""
    if node is None:
        return list(kept.instances)
    chosen = [line for line in kept.instances if node in (line.node, line.instance)]
    if not chosen and node not in kept.plan.nodes:
        known = [*kept.plan.nodes, *(line.instance for line in kept.instances)]
        raise NoSuchJobError(
            f"pipeline {kept.line.facts.pipeline} has no node {node}{nearest(node, known)}",
            remedy=f"Its nodes are {', '.join(kept.plan.nodes)}.",
        )
    return chosen
