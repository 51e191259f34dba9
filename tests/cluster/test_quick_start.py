"""The cluster of the README, as it stands there.

Only the broker is another one, with topics of the test's own, and the command is that of this Python.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from tests.cluster.machines import Machines
from tests.docs.pages import snippets
from tests.house.source import ROOT
from tests.kafka.broker import bootstrap

_ADDRESS = "127.0.0.1:9092"
_LIMIT_S = 120


def test_the_quick_start_of_the_readme_works_as_typed(tmp_path: Path) -> None:
    machines = Machines(tmp_path, bootstrap())
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("*.jsonl", "__pycache__"))
    (shown,) = snippets(ROOT / "README.md", "bash")
    lines = shown.text.splitlines()
    assert (lines[0], lines[-1]) == ("make kafka", "make kafka-stop")
    script = "\n".join(lines[1:-1]).replace(".venv/bin/streamer", "streamer")
    assert _ADDRESS in script

    told = tmp_path / "told.log"
    try:
        code = _typed(script.replace(_ADDRESS, machines.bootstrap), machines, told)
    finally:
        machines.close()

    assert code == 0, told.read_text()
    for words in ("telemetry", "running", "node score has 3 replicas", "score-2", "stopped"):
        assert words in told.read_text(), told.read_text()


def _typed(script: str, machines: Machines, told: Path) -> int:
    """What a shell gives for it; whatever it has left behind is ended."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "STREAMER_HOME": str(machines.folder / "home"),
        "KAFKA_TOPIC_PREFIX": machines.prefix,
    }
    with told.open("wb") as output:
        shell = subprocess.Popen(
            ["bash", "-e", "-c", script],
            cwd=machines.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            return shell.wait(_LIMIT_S)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()
