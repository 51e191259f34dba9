"""The same queries in programs of one process: started, timed and ended from outside.

The plain loop is run by our interpreter, the other engines by that of an environment of their own; one that is not
there has no figures, and no query fails for it.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.nexmark.programs.course import ENDED, READY
from benchmarks.processes import FamilyMeter, Passage
from benchmarks.record import ROOT
from benchmarks.scenario.side import BenchmarkError

ENVIRONMENT = ROOT / ".venv-peers"
_LINES_SHOWN = 20
_PASS_S = 300.0
"""A program that takes longer, its start included, is killed: the command must end."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A program by the name of its module, run by `python`, and the package that it needs, if any."""

    name: str
    module: str
    python: Path
    package: str = ""

    def version(self) -> str | None:
        """Of its package; None if it is not installed there."""
        if not self.python.exists():
            return None
        asked = f"import importlib.metadata; print(importlib.metadata.version({self.package!r}))"
        done = subprocess.run([str(self.python), "-c", asked], capture_output=True, text=True, timeout=60, check=False)
        return done.stdout.strip() if done.returncode == 0 else None


LOOP = Peer("loop", "loop", Path(sys.executable))


def engines(environment: Path) -> tuple[Peer, ...]:
    """The other engines, whether or not they are installed there."""
    python = environment / "bin" / "python"
    return (
        Peer("Bytewax", "bytewax_flow", python, package="bytewax"),
        Peer("Pathway", "pathway_tables", python, package="pathway"),
    )


def installed(found: tuple[Peer, ...]) -> Mapping[str, str]:
    """Versions by package, of those that are there."""
    versions = {peer.package: peer.version() for peer in found}
    return {package: version for package, version in versions.items() if version is not None}


def passed(peer: Peer, query: str, count: int, out: Path) -> Passage:
    """Let `count` events through, and the results into `out`. Raises BenchmarkError if the program fails."""
    program = f"benchmarks.nexmark.programs.{peer.module}"
    errors = out.with_suffix(".errors")
    with errors.open("w") as stderr:
        child = subprocess.Popen(
            [str(peer.python), "-m", program, query, str(count), str(out)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    late = threading.Timer(_PASS_S, child.kill)
    late.start()
    try:
        passage = _passage(child)
        child.communicate("\n")
    finally:
        late.cancel()
        child.kill()
        child.wait()
    if passage is None or child.returncode:
        said = " / ".join(errors.read_text().splitlines()[-_LINES_SHOWN:])
        raise BenchmarkError(f"{peer.name} ended with code {child.returncode} at {query}: {said}")
    return passage


def _passage(child: subprocess.Popen[str]) -> Passage | None:
    """What it has cost between its two words; None if it died before."""
    assert child.stdin is not None
    if not _says(child, READY):
        return None
    meter = FamilyMeter()
    child.stdin.write("\n")
    child.stdin.flush()
    return meter.read() if _says(child, ENDED) else None


def _says(child: subprocess.Popen[str], word: str) -> bool:
    """Wait for this word, whatever else the program says; False if it is over."""
    assert child.stdout is not None
    return any(line.strip() == word for line in child.stdout)
