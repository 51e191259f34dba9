"""`streamer resume` on real processes: a job that has failed goes on from where it stood, and counts each line once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import Desk
from tests.cli.detached import Detached, detached, is_one_message

COUNT = 3_000
BREAKS_AT = 1_500
BREAKS_AGAIN_AT = 2_500
NODES = (
    "  - {nodeName: lines, kind: source, spec: {connector: file, path: lines.txt}}\n"
    "  - {nodeName: count, algorithmName: count, stateType: stateful, onError: {then: stop}}\n"
    "  - {nodeName: out, kind: sink, spec: {connector: file, path: out.jsonl, format: jsonl}}\n"
)
CODE = f"""
import time
from pathlib import Path

def start(args, api):
    total = api.state.counter("total")

    def on_message(message, origin):
        if int(message) == {BREAKS_AT} and not Path("mended").exists():
            if not Path("waits").exists():
                raise ValueError("no room for it")
            Path("reached").touch()
            while not Path("mended").exists():
                time.sleep(0.05)
        if int(message) == {BREAKS_AGAIN_AT} and Path("spoiled").exists():
            raise ValueError("no room for this one either")
        total.add("all", 1)
        api.sendMessage(int(message))

    api.registerInputListener(on_message)
    api.startMessageListening()
"""


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """With a pipeline that counts lines in its state and passes them on until it breaks in the middle, or waits there.

    Once it is mended, it goes on. Jobs that a test leaves behind are ended.
    """
    desk = Desk(tmp_path)
    desk.write("lines.txt", "".join(f"{n}\n" for n in range(COUNT)))
    desk.pipeline(NODES, "{main: lines >> count >> out}", "---\nname: count\ncode: {path: count.py}\n")
    desk.write("count.py", CODE)
    yield desk
    for row in json.loads(desk.run("ps", "--json").stdout or "[]"):
        desk.run("stop", row["job"], "--now")


def written(desk: Desk) -> list[int]:
    return [json.loads(line) for line in (desk.folder / "out.jsonl").read_text().splitlines()]


def counted(desk: Desk, job: str) -> int:
    return int(json.loads(desk.run("state", "get", job, "count", "total", "--json").stdout)["value"])


def is_exact(desk: Desk, job: str) -> bool:
    """Each line is in the sink once, in its order, and was counted once."""
    return written(desk) == list(range(COUNT)) and counted(desk, job) == COUNT


def failed(desk: Desk) -> Detached:
    job = detached(desk)
    job.until_status("failed")
    assert len(written(desk)) <= BREAKS_AT
    return job


def in_the_middle(desk: Desk) -> bool:
    return (desk.folder / "reached").exists()


def test_a_job_whose_handler_has_failed_goes_on_once_it_is_mended(desk: Desk) -> None:
    job = failed(desk)
    desk.write("mended", "")

    resumed = desk.run("resume", job.job, "--json")

    assert (resumed.code, json.loads(resumed.stdout)) == (0, {"job": job.job}), resumed.stderr
    job.until_status("completed")
    assert is_exact(desk, job.job)


def test_a_job_that_is_not_mended_fails_again_and_can_be_resumed_again(desk: Desk) -> None:
    job = failed(desk)

    desk.run("resume", job.job)
    job.until_status("failed")
    desk.write("mended", "")
    assert desk.run("resume", job.job).code == 0

    job.until_status("completed")
    assert is_exact(desk, job.job)


def test_a_job_whose_command_was_killed_goes_on_detached(desk: Desk) -> None:
    desk.write("waits", "")
    with desk.started("run", "pipeline.yaml") as command:
        command.until(lambda _line: in_the_middle(desk))
        command.process.kill()
        command.process.wait()
    (folder,) = desk.jobs()
    job = Detached(desk, folder.name)
    assert job.ps()["status"] == "failed"
    desk.write("mended", "")

    assert desk.run("resume", job.job).code == 0

    job.until_status("completed")
    assert is_exact(desk, job.job)


def test_a_copy_of_the_home_goes_on_by_itself_and_the_first_one_stays_as_it_was(desk: Desk) -> None:
    job = failed(desk)
    desk.write("mended", "")
    before = {path: path.read_bytes() for path in job.folder.rglob("*") if path.is_file()}
    other = Desk(desk.folder / "other")
    other.folder.mkdir()
    shutil.copytree(desk.home, other.home)

    assert other.run("resume", job.job).code == 0
    copy = Detached(other, job.job)
    copy.until_status("completed")

    assert written(desk) == list(range(COUNT))
    assert counted(other, job.job) == COUNT
    assert {path: path.read_bytes() for path in job.folder.rglob("*") if path.is_file()} == before
    assert job.ps()["status"] == "failed"


def test_a_copied_home_does_not_take_up_what_lives_in_the_other_one(desk: Desk) -> None:
    desk.write("waits", "")
    job = detached(desk)
    job.until(lambda: in_the_middle(desk))
    other = Desk(desk.folder / "other")
    other.folder.mkdir()
    shutil.copytree(desk.home, other.home)

    assert Detached(other, job.job).ps()["status"] == "failed"
    assert "has moved" in other.run("status", job.job).stdout
    desk.write("mended", "")
    job.until_status("completed")
    assert is_exact(desk, job.job)


def test_after_state_was_moved_aside_nothing_that_comes_is_taken_for_a_repeat(desk: Desk) -> None:
    job = failed(desk)
    shutil.move(job.folder / "state" / "count", desk.folder / "aside")
    desk.write("mended", "")

    assert desk.run("resume", job.job).code == 0
    job.until_status("completed")

    gone = COUNT - counted(desk, job.job)
    assert 0 < gone <= BREAKS_AT, "what the state had counted is not counted again"
    assert set(written(desk)) >= set(range(gone, COUNT)), "what it had sent lay in it until it was written"


def test_state_that_is_older_than_its_job_is_refused_and_the_newer_one_goes_on(desk: Desk) -> None:
    job = failed(desk)
    state, older, newer = job.folder / "state" / "count", desk.folder / "older", desk.folder / "newer"
    shutil.copytree(state, older)
    desk.write("mended", "")
    desk.write("spoiled", "")
    desk.run("resume", job.job)
    job.until_status("failed")
    (desk.folder / "spoiled").unlink()

    state.rename(newer)
    shutil.copytree(older, state)
    refused = desk.run("resume", job.job)
    assert refused.code == 1
    assert "the state of instance count-0 is older than its job" in refused.stderr
    shutil.rmtree(state)
    newer.rename(state)
    assert desk.run("resume", job.job).code == 0
    job.until_status("completed")

    assert is_exact(desk, job.job)


def test_only_a_job_that_has_failed_can_be_resumed(desk: Desk) -> None:
    desk.write("waits", "")
    job = detached(desk)
    assert is_one_message(desk.run("resume", job.job), f"job {job.job} is running", "Only a job that has failed")
    desk.write("mended", "")
    job.until_status("completed")
    assert is_one_message(desk.run("resume", job.job), f"job {job.job} is completed")
    assert is_one_message(desk.run("resume", "wrods"), "there is no job wrods", "words")


def test_what_is_gone_cannot_go_on(desk: Desk) -> None:
    job = failed(desk)
    shutil.move(job.folder, desk.folder / "aside")
    assert is_one_message(desk.run("resume", job.job), f"the folder {job.folder}", "is gone", "from a copy")

    shutil.move(desk.folder / "aside", job.folder)
    desk.write("mended", "")
    assert desk.run("resume", job.job).code == 0
    job.until_status("completed")
    assert is_exact(desk, job.job)


def test_a_job_that_read_its_standard_input_has_lost_it(desk: Desk) -> None:
    desk.pipeline(
        "  - {nodeName: lines, kind: source, spec: {connector: stdin}}\n" + NODES.split("\n", 1)[1],
        "{main: lines >> count >> out}",
        "---\nname: count\ncode: {path: count.py}\n",
    )
    assert desk.run("run", "pipeline.yaml", text=f"{BREAKS_AT}\n").code == 1
    (folder,) = desk.jobs()

    assert is_one_message(desk.run("resume", folder.name), "node lines", "reads stdin")
