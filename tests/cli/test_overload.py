"""What a node's overload policy does to a source that is too fast for it, on real processes, counted to the message.

The slow node handles a few hundred messages a second, its queue holds 64 KiB, and the source offers thousands.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Desk

FAST = "  - {nodeName: fast, kind: source, spec: {connector: generator, count: COUNT, rate: 6000, size: 200}}\n"
SLOW = "  - {nodeName: slow, algorithmName: pass, stateType: stateless, queueBytes: 64Ki, overload: POLICY}\n"
ALGORITHM = "---\nname: pass\ncode: {path: pass.py}\n"
CODE = "import time\n\ndef start(args):\n    time.sleep(0.001)\n"


def account(folder: Path, policy: str, count: int) -> dict[str, Any]:
    desk = Desk(folder)
    (folder / "pass.py").write_text(CODE)
    desk.pipeline(FAST.replace("COUNT", str(count)) + SLOW.replace("POLICY", policy), "{main: fast >> slow}", ALGORITHM)
    done = desk.run("run", "pipeline.yaml", "--json")
    assert done.code == 0, done.stderr
    edge: dict[str, Any] = done.account["edges"][0]
    return edge


@pytest.mark.parametrize("policy", ["drop-oldest", "drop-newest", "error"])
def test_a_source_that_is_too_fast_goes_on_and_every_dropped_message_is_counted_by_its_reason(
    policy: str, tmp_path: Path
) -> None:
    edge = account(tmp_path, policy, 6000)
    dropped = edge["dropped"]
    assert list(dropped) == [policy]
    assert edge["sent"] == 6000
    assert edge["settled"] == 6000 - dropped[policy]
    assert edge["in_flight"] == 0


def test_a_source_that_is_too_fast_waits_by_default_and_nothing_is_dropped(tmp_path: Path) -> None:
    edge = account(tmp_path, "block", 1500)
    assert edge["dropped"] == {}
    assert edge["settled"] == 1500
