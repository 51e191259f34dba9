"""A job whose control log has no room left: messages, settlement and restarts go on, and it catches up afterwards."""

from __future__ import annotations

import json
import time
from pathlib import Path

from tests.cli.command import Desk
from tests.conftest import Tell
from tests.disks import fill_up, small_disk

_NODES = """\
  - {nodeName: numbers, kind: source, spec: {connector: generator, rate: 400}}
  - {nodeName: relay, algorithmName: relay, stateType: stateless}
  - {nodeName: save, kind: sink, spec: {connector: file, path: out.jsonl, format: jsonl}}
"""
_PATIENCE_S = 60.0
_LOOK_S = 0.02


def test_a_job_goes_on_while_its_log_has_no_room_and_nothing_happens_twice(tmp_path: Path, tell: Tell) -> None:
    desk = Desk(tmp_path)
    desk.write("relay.py", "def start(args):\n    return args['streamInput']['message']\n")
    desk.pipeline(_NODES, "{main: numbers >> relay >> save}", "---\nname: relay\ncode: {path: relay.py}\n")
    with small_disk(desk.home / "log", 4) as disk, desk.started("run", "pipeline.yaml", "--json") as job:
        _until_more(desk, 200)
        filler = fill_up(disk)
        before = _written(desk)
        _until_more(desk, 800)
        killed = desk.process_of("relay-0")
        desk.kill("relay-0")
        _until_more(desk, 800)
        assert desk.process_of("relay-0") not in (killed, None)
        meanwhile = _written(desk) - before
        (folder,) = desk.jobs()
        refused = desk.run("scale", folder.name, "relay", 2)

        filler.unlink()
        scaled = desk.run("scale", folder.name, "relay", 2)
        _until_more(desk, 200)
        job.interrupt()
        done = job.finish()

    assert refused.code == 1
    assert "could not be written" in refused.stderr
    assert "Make room" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert scaled.code == 0, scaled.stderr
    assert done.code == 0, done.stderr
    read = next(edge["sent"] - edge["abandoned"] for edge in done.account["edges"] if edge["source"] == "numbers")
    assert {json.loads(line)["id"] for line in (desk.folder / "out.jsonl").open()} == set(range(read))
    assert {node["node"]: node["restarts"] for node in done.account["nodes"]} == {"numbers": 0, "relay": 1, "save": 0}
    tell(f"{meanwhile} messages while the log had no room, {read} in all, 0 lost")


def _written(desk: Desk) -> int:
    path = desk.folder / "out.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _until_more(desk: Desk, messages: int) -> None:
    wanted, deadline = _written(desk) + messages, time.monotonic() + _PATIENCE_S
    while _written(desk) < wanted:
        assert time.monotonic() < deadline, "the job stands still"
        time.sleep(_LOOK_S)
