"""What can be known to fail before a job starts: files, folders, and algorithms that do not import.

A user who mistyped a path wants one clear message and nothing changed, and not a job that starts, fails in one of its
instances and leaves files behind. So all connectors are asked, and each algorithm is imported once in a process of its
own, as an instance would: importing it here would let the user's code into the supervisor. That costs one start of
Python per algorithm, side by side, before the first instance starts.
"""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from streamer import limits
from streamer.connectors.registry import clashes, problems
from streamer.control.gateways import gateway_findings
from streamer.plan.assignment import Code
from streamer.plan.compile import Plan, PlannedNode

CHECK_PROGRAM = (sys.executable, "-m", "streamer.runtime.check")


def preflight(plan: Plan, home: Path | None = None) -> tuple[str, ...]:
    """All findings at once, each naming its node; none means that the job can be started. Changes nothing.

    Other jobs are those below `home`, if one is given.
    """
    nodes = tuple(plan.nodes.values())
    gateways = gateway_findings(nodes, home) if home is not None else ()
    return (*_connector_findings(nodes), *gateways, *_algorithm_findings(nodes))


def _connector_findings(nodes: Sequence[PlannedNode]) -> Iterator[str]:
    connected = {node.name: (node.role, node.connector) for node in nodes if node.connector is not None}
    for name, (role, connector) in connected.items():
        yield from (f"node {name}: {problem}" for problem in problems(connector, role))
    yield from clashes(connected)
    readers = [name for name, (_, connector) in connected.items() if connector.name == "stdin"]
    if len(readers) > 1:
        yield f"nodes {_names(readers)}: each reads stdin, which only one can. Keep one, and join it to several nodes."


def _algorithm_findings(nodes: Sequence[PlannedNode]) -> Iterator[str]:
    users: dict[Code, list[str]] = defaultdict(list)
    for node in nodes:
        if node.code is not None:
            users[node.code].append(node.name)
    with ThreadPoolExecutor(limits.PREFLIGHTS_MAX) as pool:
        found: Mapping[Code, str | None] = dict(zip(users, pool.map(_check, users), strict=True))
    for code, problem in found.items():
        if problem is not None:
            before, _, last = problem.rpartition("\n")
            where = f"node{'s' if len(users[code]) > 1 else ''} {_names(users[code])}: algorithm {code.name}: "
            yield f"{before}\n{where}{last}" if before else f"{where}{last}"


def _check(code: Code) -> str | None:
    """The user's traceback, if there is one, and one line last; None if the algorithm can be loaded."""
    if not Path(code.path).is_file():
        return f"the file {code.path} does not exist. Correct code.path or code.entryPoint."
    try:
        done = subprocess.run(
            (*CHECK_PROGRAM, code.path),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=limits.PREFLIGHT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{code.path} does not import within {limits.PREFLIGHT_S:g} s. Move the work into init or start."
    if done.returncode == 0:
        return None
    told = done.stderr.decode(errors="replace").strip()
    return told or f"{code.path} ended its process with exit code {done.returncode} while it was imported"


def _names(names: Sequence[str]) -> str:
    return ", ".join(names)
