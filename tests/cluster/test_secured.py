"""A Kafka that lets nobody in without TLS and a password: all parts of a cluster get in, strangers are told why not.

Two clients are at work in a controller, Faust's and ours, and both must be let in. The password lies in a file, as it
does where it is mounted.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.machines import Machines
from tests.kafka.broker import or_no_test, started
from tests.kafka.cluster import Cluster, Door, free_ports
from tests.kafka.keys import keys_in

_PASSWORD = "right-word"


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("secured")
    with or_no_test():
        keys = keys_in(folder)
    (ports, (port, _)) = free_ports(2)
    door = Door(port, "me", _PASSWORD, keys)
    cluster = started(Cluster(folder / "cluster", [ports], door))
    yield door
    cluster.kill()


def _machines(folder: Path, door: Door, **others: str) -> Machines:
    """Parts that are told how to be let in by a file; `others` are variables in the place of those."""
    assert door.keys is not None
    variables = {
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_USERNAME": door.user,
        "KAFKA_SASL_PASSWORD": door.password,
        "KAFKA_SSL_CAFILE": str(door.keys.certificate),
        **others,
    }
    file = folder / "kafka.env"
    file.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
    return Machines(folder, f"127.0.0.1:{door.port}", {"KAFKA_SETTINGS": str(file)})


def test_a_job_runs_where_kafka_asks_for_tls_and_a_password(tmp_path: Path, door: Door) -> None:
    machines = _machines(tmp_path, door)
    try:
        machines.controller("c1")
        machines.agent("a1")
        job = machines.submit("words")
        machines.until(lambda: machines.lines("words") > 100)
        account = machines.stopped(job)

        assert machines.lines("words") == sum(one["sent"] for one in account["edges"] if one["target"] == "save") > 100
        assert _PASSWORD not in machines.told()
    finally:
        machines.close()


@pytest.mark.parametrize(
    ("others", "told"),
    [
        pytest.param({"KAFKA_SASL_PASSWORD": "wrong-word"}, "Authentication", id="another-password"),
        pytest.param({"KAFKA_SSL_CAFILE": ""}, "certificate verify failed", id="a-certificate-that-nobody-trusts"),
    ],
)
def test_who_is_not_let_in_is_told_by_whom_and_why(
    tmp_path: Path, door: Door, others: dict[str, str], told: str
) -> None:
    machines = _machines(tmp_path, door, **others)

    done = machines.run("ps")

    assert done.code == 1
    assert f"Kafka at 127.0.0.1:{door.port} (SASL_SSL) cannot be used now" in done.stderr
    assert told in done.stderr
    assert "KAFKA_*" in done.stderr
    assert "Traceback" not in done.stderr
    assert "-word" not in done.stderr
