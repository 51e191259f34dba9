"""`make bench`: every benchmark after the other, each in a process of its own, as its own command would run it.

A benchmark that fails does not keep the others from being taken, but makes the whole fail.
"""

from __future__ import annotations

import subprocess
import sys

from benchmarks.record import ROOT
from streamer.cli.output import tell

BENCHMARKS = (
    "micro",
    "scenario.throughput",
    "scenario.opaque",
    "scenario.codecs",
    "scenario.payloads",
    "scenario.latency",
    "scenario.chain",
    "scenario.shape",
    "scenario.settlement",
    "scenario.durability",
    "scenario.state",
    "scenario.recovery",
    "scenario.memory",
    "scenario.footprint",
    "scenario.idle",
)


def main() -> int:
    failed = []
    for name in BENCHMARKS:
        tell(f"benchmarks.{name}")
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=ROOT, check=False).returncode:
            failed.append(name)
    for name in failed:
        tell(f"benchmarks.{name} failed, see above")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
