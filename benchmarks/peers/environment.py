"""Where the peers are installed: a virtual environment of their own, which `make peers` makes.

Their requirements are not ours, and some of them hold others back; installed beside the engine they would decide by
which libraries it is measured. So they share nothing with it but the machine, and the driver starts them by path.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.record import ROOT
from streamer.cli.output import tell
from streamer.errors import StreamerError

HOME = ROOT / ".venv-peers"
PROGRAMS = Path(__file__).resolve().parent / "programs"
_ASK = (
    "import importlib.metadata, json, sys; print(json.dumps({n: importlib.metadata.version(n) for n in sys.argv[1:]}))"
)
_ASK_S = 60.0


class PeersError(StreamerError):
    """The peers are not installed."""

    remedy = "Run `make peers`, which installs them into .venv-peers; `make bench` does so by itself."


def interpreter(home: Path = HOME) -> Path:
    """The Python that can import the peers. Raises PeersError without one."""
    found = home / "bin" / "python"
    if not found.exists():
        raise PeersError(f"there is no {found}, so there is nothing to compare with")
    return found


def versions(packages: Sequence[str], home: Path = HOME) -> dict[str, str]:
    """What of these is installed there, for the record. Raises PeersError if one is missing."""
    done = subprocess.run(
        [interpreter(home), "-c", _ASK, *packages], capture_output=True, text=True, timeout=_ASK_S, check=False
    )
    if done.returncode:
        raise PeersError(f"{home} lacks one of {', '.join(packages)}: {done.stderr.strip().splitlines()[-1]}")
    return {name: str(version) for name, version in json.loads(done.stdout).items()}


def present(packages: Sequence[str], home: Path = HOME) -> dict[str, str] | None:
    """Their versions. None if any is missing, which is told: what can be taken without the peers still is."""
    try:
        return versions(packages, home) if packages else {}
    except PeersError as missing:
        tell(f"{missing}\n{missing.advice}")
        return None
