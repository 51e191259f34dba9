"""The file of a gateway: its port for the next life, and its name for everybody else, for as long as it lives."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.errors import StateError
from streamer.state.gateway import GATEWAY_FILE, GatewayRecord, living_gateways


def test_a_new_gateway_has_no_port_yet(tmp_path: Path) -> None:
    assert GatewayRecord(tmp_path).port == 0


def test_the_next_life_finds_the_port_of_the_one_before(tmp_path: Path) -> None:
    record = GatewayRecord(tmp_path)
    record.keep("door", 20_000)
    record.close()

    again = GatewayRecord(tmp_path)
    assert again.port == 20_000

    again.keep("door", 9)
    again.close()
    assert GatewayRecord(tmp_path).port == 9


def test_a_record_that_was_cut_off_by_a_kill_has_no_port(tmp_path: Path) -> None:
    (tmp_path / GATEWAY_FILE).write_text('["door", 20')

    assert GatewayRecord(tmp_path).port == 0


def test_two_lives_of_one_gateway_never_meet(tmp_path: Path) -> None:
    record = GatewayRecord(tmp_path)

    with pytest.raises(StateError, match="held by another process"):
        GatewayRecord(tmp_path)

    record.close()
    GatewayRecord(tmp_path).close()


def test_a_name_is_in_use_for_as_long_as_its_gateway_lives(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("first", "second", "no-gateway")]
    for folder in folders:
        folder.mkdir()
    first, second = GatewayRecord(folders[0]), GatewayRecord(folders[1])
    first.keep("door", 20_000)
    second.keep("window", 20_001)
    second.close()

    assert living_gateways([*folders, tmp_path / "gone"]) == {"door": folders[0]}
