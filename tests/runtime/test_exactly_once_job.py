"""File to pipeline to file is exact: each line is counted once and written once, whoever is killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
from collections import Counter, deque
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.command import Desk
from tests.conftest import Tell

COUNT = 6_000
PIPELINE = """
  - {nodeName: lines, kind: source, spec: {connector: file, path: in.txt}}
  - {nodeName: relay, kind: algorithm, algorithmName: relay, stateType: stateless, minStatelessCount: 2}
  - {nodeName: tally, kind: algorithm, algorithmName: tally, stateType: stateful}
  - {nodeName: save, kind: sink, spec: {connector: file, path: out.jsonl}}
"""
ALGORITHMS = "---\n{name: relay, code: {path: relay.py}}\n---\n{name: tally, code: {path: tally.py}}\n"
RELAY = """
import time

def start(args, api):
    time.sleep(0.002)
    return int(args["streamInput"]["message"].split()[1])
"""
TALLY = """
def start(args, api):
    totals = api.state.counter("totals")

    def on_message(number, origin):
        api.sendMessage([number, totals.add(number % 7)])

    api.registerInputListener(on_message)
    api.startMessageListening()
"""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def instances_of(desk: Desk) -> list[tuple[str, int]]:
    """Names and process ids of the instances that live now."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (entry / "cmdline").read_text().split("\0")
            names = [Path(word).parent.name for word in words if word.startswith(f"{desk.home}/jobs")]
            if "streamer.runtime" in words and names:
                found.append((names[0], int(entry.name)))
    return sorted(found)


def _grown(desk: Desk, size: int) -> int:
    """The size of the output, if it is another one than before."""
    out = desk.folder / "out.jsonl"
    found = out.stat().st_size if out.exists() else 0
    return found if found != size else 0


def test_each_line_is_counted_once_and_written_once_under_kills(desk: Desk, tell: Tell) -> None:
    (desk.folder / "in.txt").write_text("".join(f"line {n}\n" for n in range(COUNT)))
    desk.write("relay.py", RELAY)
    desk.write("tally.py", TALLY)
    desk.pipeline(PIPELINE, "{main: lines >> relay >> tally >> save}", ALGORITHMS)
    chance, kills = random.Random(5), Counter[str]()

    with desk.started("run", "pipeline.yaml", "--json") as job:
        size, lately = 0, deque[str](maxlen=2)
        while job.process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                job.process.wait(timeout=0.2)
            if job.process.poll() is not None or not (grown := _grown(desk, size)):
                continue  # it is killed at work, and not before it has done anything
            size = grown
            # not one that was killed a moment ago: five deaths in a row with nothing done would fail the job
            living = [found for found in instances_of(desk) if found[0] not in lately]
            for name, process in chance.sample(living, min(1, len(living))):
                lately.append(name)
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
                    kills[name.rpartition("-")[0]] += 1
        done = job.finish()

    assert done.code == 0, done.stderr
    written = [json.loads(line) for line in (desk.folder / "out.jsonl").read_text().splitlines()]
    assert sorted(number for number, _ in written) == list(range(COUNT))
    for rest in range(7):
        totals = [total for number, total in written if number % 7 == rest]
        assert totals == list(range(1, len(totals) + 1))
    tell(f"{COUNT} lines, exact, under kills of {dict(kills)}")
