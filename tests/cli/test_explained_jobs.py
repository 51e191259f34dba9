"""`streamer explain` on a job that goes on, with real processes: what it wants, what it has, and why not more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import Desk
from tests.cli.detached import detached

NODES = """\
  - {nodeName: numbers, kind: source, spec: {connector: generator, rate: 80}}
  - {nodeName: nap, algorithmName: nap, stateType: stateless, maxStatelessCount: 5}
  - {nodeName: gone, kind: sink, spec: {connector: blackhole}}
"""
SELECTED = "nodeSelector: {nvidia.com/gpu.product: NVIDIA-L4}"


@pytest.mark.parametrize(
    ("more", "capacity"),
    [
        pytest.param("", "gpu=3", id="of any kind"),
        pytest.param(SELECTED, "gpu:NVIDIA-L4=3,gpu:NVIDIA-H100=8", id="of one kind"),
    ],
)
def test_a_job_that_wants_more_accelerators_than_there_are_says_so(tmp_path: Path, more: str, capacity: str) -> None:
    desk = Desk(tmp_path)
    desk.write("nap.py", "import time\ndef start(args):\n    time.sleep(0.1)\n")
    algorithm = "\n".join(filter(None, ("---", "name: nap", "code: {path: nap.py}", "gpu: 1", more, "")))
    desk.pipeline(NODES, "{main: numbers >> nap >> gone}", algorithm)
    job = detached(desk, "--capacity", capacity)
    try:
        job.until(lambda: "wants 5, has 3" in desk.run("explain", job.job, "nap").stdout)
        told = desk.run("explain", job.job, "nap").stdout
        [node] = json.loads(desk.run("explain", job.job, "nap", "--json").stdout)["nodes"]
    finally:
        desk.run("stop", job.job, "--now")

    assert "nap: 3 replicas" in told
    assert "because it wants 5 replicas, and the platform has room for 3" in told
    assert "4 would take more room on the platform" in told
    assert (node["wanted"], node["short"], node["replicas"], node["guard"]) == (3, 2, 3, "capacity")
