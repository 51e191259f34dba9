"""The record of a measurement: figures that say where, when and by which command they came about.

A figure that cannot be taken again is a claim. So every result names machine, commit, versions and command, and lies in
the repository as a file that the next one is compared with.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil
import zmq

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
BENCHMARKS = (
    "micro",
    "scenario.throughput",
    "scenario.payloads",
    "scenario.latency",
    "scenario.wire",
    "scenario.chain",
    "scenario.shape",
    "scenario.settlement",
    "scenario.durability",
    "scenario.state",
    "scenario.recovery",
    "scenario.memory",
    "scenario.footprint",
    "scenario.idle",
    "nexmark",
    "peers.engines",
    "peers.kafka",
)
"""All that are taken by `make bench`, in this order."""
BY_THEMSELVES = ("scenario.control_plane", "scenario.autoscaling")
"""Those that need brokers, or play traces for a quarter of an hour, and are taken by their own commands."""
RECORDED = (*BENCHMARKS, *BY_THEMSELVES)
"""All that have a record and a table."""
_PACKAGES = ("pyzmq", "msgpack", "msgspec", "psutil")


def machine() -> dict[str, Any]:
    """What it was taken on; nothing that names the machine itself."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.release()}",
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "libzmq": zmq.zmq_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # an extra that is not installed was not used either
    return found


def commit() -> str:
    """The commit at hand, with a plus if engine or benchmarks were changed since; 'unknown' without a repository."""
    changed = _git("status", "--porcelain", "--", "streamer", "benchmarks/*.py")
    head = _git("rev-parse", "--short=12", "HEAD")
    if not head:
        return "unknown"
    return head + ("+" if changed else "")


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def document(
    benchmark: str,
    arguments: Sequence[str],
    figures: Sequence[Mapping[str, Any]],
    beside: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """The whole record. `arguments` are those of the command `python -m benchmarks.<benchmark>`.

    `beside` are the versions of what it was measured beside, where that is installed elsewhere.
    """
    return {
        "benchmark": benchmark,
        "command": " ".join(["python", "-m", f"benchmarks.{benchmark}", *arguments]),
        "date": time.strftime("%Y-%m-%d"),
        "commit": commit(),
        "machine": machine(),
        "versions": {**versions(), **beside},
        "figures": list(figures),
    }


def write(record: Mapping[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n")


def home_of(benchmark: str) -> Path:
    """Where the record of a benchmark lies in the repository."""
    return RESULTS / f"{benchmark.rpartition('.')[2]}.json"
