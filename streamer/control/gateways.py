"""What can be known about gateways before a job starts: ports that are taken, and names that stand for another one.

Both would otherwise be found by an instance, which could only die of it, again and again, until its job has failed.
A name is looked for in the jobs below the same home: to whoever sends messages it means one gateway, whatever its port.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

from streamer.plan.compile import PlannedNode
from streamer.state.gateway import living_gateways

_ADDRESS = "127.0.0.1"


def gateway_findings(nodes: Iterable[PlannedNode], home: Path) -> Iterator[str]:
    """One finding for each port or name that a gateway of these nodes cannot have."""
    gateways = [(node.name, node.gateway) for node in nodes if node.gateway is not None]
    living = living_gateways((home / "jobs").glob("*/instances/*")) if gateways else {}
    for node, gateway in gateways:
        if gateway.name in living:
            job = living[gateway.name].parent.parent.name
            yield (
                f"node {node}: the gateway name {gateway.name} is in use by job {job}. "
                "Give it another spec.name, or stop that job."
            )
        if gateway.port and (problem := _taken(gateway.port)):
            yield (
                f"node {node}: port {gateway.port} of {_ADDRESS} cannot be taken: {problem}. "
                "Give another spec.port, or none: a free one is chosen then."
            )


def _taken(port: int) -> str:
    """Why nobody can listen there; '' if somebody can."""
    try:
        socket.create_server((_ADDRESS, port)).close()
    except OSError as error:
        return os.strerror(error.errno or 0).lower()
    return ""
