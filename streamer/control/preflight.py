"""What can be known to fail before a job starts: files, folders, and algorithms that do not import.

A user who mistyped a path wants one clear message and nothing changed, and not a job that starts, fails in one of its
instances and leaves files behind. So all connectors are asked, and each algorithm is imported once in a process of its
own, as an instance would: importing it here would let the user's code into the supervisor. That costs one start of
Python per algorithm, side by side, before the first instance starts. It also tells of which files the algorithm
consists, so that the job can keep them (`kept_code`).
"""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import NamedTemporaryFile

from streamer import limits
from streamer.connectors.registry import clashes, problems
from streamer.control.gateways import gateway_findings
from streamer.plan.assignment import Code, KeptFile
from streamer.plan.compile import Plan, PlannedNode

CHECK_PROGRAM = (sys.executable, "-m", "streamer.runtime.check")


@dataclass(frozen=True, slots=True)
class Preflight:
    """`findings` each name their node; none means that the job can be started. `plan` knows the files of its code."""

    findings: tuple[str, ...]
    plan: Plan


def preflight(plan: Plan, home: Path | None = None) -> Preflight:
    """All findings at once. Changes nothing.

    Other jobs are those below `home`, if one is given.
    """
    nodes = tuple(plan.nodes.values())
    gateways = gateway_findings(nodes, home) if home is not None else ()
    code = code_preflight(plan)
    return Preflight((*_connector_findings(nodes), *gateways, *code.findings), code.plan)


def code_preflight(plan: Plan) -> Preflight:
    """The same of the algorithms only: for a job that has its connectors and gateways already."""
    users: dict[Code, list[str]] = defaultdict(list)
    for node in plan.nodes.values():
        if node.code is not None:
            users[node.code].append(node.name)
    with ThreadPoolExecutor(limits.PREFLIGHTS_MAX) as pool:
        checked: Mapping[Code, Checked] = dict(zip(users, pool.map(_check, users), strict=True))
    nodes = {
        name: node if node.code is None else replace(node, code=checked[node.code].code)
        for name, node in plan.nodes.items()
    }
    return Preflight(tuple(_algorithm_findings(users, checked)), replace(plan, nodes=nodes))


def _connector_findings(nodes: Sequence[PlannedNode]) -> Iterator[str]:
    connected = {node.name: (node.role, node.connector) for node in nodes if node.connector is not None}
    for name, (role, connector) in connected.items():
        yield from (f"node {name}: {problem}" for problem in problems(connector, role))
    yield from clashes(connected)
    readers = [name for name, (_, connector) in connected.items() if connector.name == "stdin"]
    if len(readers) > 1:
        yield f"nodes {_names(readers)}: each reads stdin, which only one can. Keep one, and join it to several nodes."


@dataclass(frozen=True, slots=True)
class Checked:
    """An algorithm with the files of which its code consists; `problem` None: it can be loaded."""

    code: Code
    problem: str | None = None


def _algorithm_findings(users: Mapping[Code, Sequence[str]], checked: Mapping[Code, Checked]) -> Iterator[str]:
    for code, one in checked.items():
        if (problem := one.problem) is not None:
            before, _, last = problem.rpartition("\n")
            where = f"node{'s' if len(users[code]) > 1 else ''} {_names(users[code])}: algorithm {code.name}: "
            yield f"{before}\n{where}{last}" if before else f"{where}{last}"


def _check(code: Code) -> Checked:
    """A problem is the user's traceback, if there is one, and one line last."""
    if not Path(code.path).is_file():
        return Checked(code, f"the file {code.path} does not exist. Correct code.path or code.entryPoint.")
    with NamedTemporaryFile("r") as imported:
        try:
            done = subprocess.run(
                (*CHECK_PROGRAM, code.path, imported.name),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=limits.PREFLIGHT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            late = f"{code.path} does not import within {limits.PREFLIGHT_S:g} s. Move the work into init or start."
            return Checked(code, late)
        if done.returncode == 0:
            files = (KeptFile(path) for path in imported.read().split("\0") if path)
            return Checked(replace(code, files=tuple(files)))
    told = done.stderr.decode(errors="replace").strip()
    return Checked(
        code, told or f"{code.path} ended its process with exit code {done.returncode} while it was imported"
    )


def _names(names: Sequence[str]) -> str:
    return ", ".join(names)
