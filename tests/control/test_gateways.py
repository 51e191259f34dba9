"""What is known of gateways before a job starts: taken ports and taken names are findings, each with its remedy."""

from __future__ import annotations

import dataclasses
import socket
from pathlib import Path

from streamer.control.endings import is_intake
from streamer.control.preflight import preflight
from streamer.plan.assignment import Gateway, Role
from streamer.plan.compile import Plan
from streamer.state.gateway import GatewayRecord
from tests.control.plans import plan


def door(gateway: Gateway) -> Plan:
    chart = plan(("door", "save"), roles={"door": Role.GATEWAY, "save": Role.SINK})
    nodes = {**chart.nodes, "door": dataclasses.replace(chart.nodes["door"], gateway=gateway)}
    return dataclasses.replace(chart, nodes=nodes)


def living(home: Path, name: str) -> GatewayRecord:
    folder = home / "jobs" / "abcdefghijkl" / "instances" / "door-0"
    folder.mkdir(parents=True)
    record = GatewayRecord(folder)
    record.keep(name, 20_000)
    return record


def test_a_gateway_with_a_name_and_a_port_of_its_own_is_no_finding(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]

    assert preflight(door(Gateway("door", free)), tmp_path).findings == ()
    assert preflight(door(Gateway("door", 0)), tmp_path).findings == ()


def test_a_port_in_use_is_found_with_its_node(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (finding,) = preflight(door(Gateway("door", port)), tmp_path).findings

    assert finding == (
        f"node door: port {port} of 127.0.0.1 cannot be taken: address already in use. "
        "Give another spec.port, or none: a free one is chosen then."
    )


def test_the_name_of_a_living_gateway_is_found_with_its_job(tmp_path: Path) -> None:
    record = living(tmp_path, "door")

    (finding,) = preflight(door(Gateway("door", 0)), tmp_path).findings

    assert finding == (
        "node door: the gateway name door is in use by job abcdefghijkl. Give it another spec.name, or stop that job."
    )
    record.close()
    assert preflight(door(Gateway("door", 0)), tmp_path).findings == ()


def test_another_name_is_free(tmp_path: Path) -> None:
    living(tmp_path, "window")

    assert preflight(door(Gateway("door", 0)), tmp_path).findings == ()


def test_a_gateway_is_told_to_drain_with_the_sources() -> None:
    assert is_intake(door(Gateway("door", 0)).nodes["door"])
