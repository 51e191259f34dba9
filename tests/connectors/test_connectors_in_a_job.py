"""Connectors in real jobs: a followed log under rotation and kills, and a connector of another package."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
from contextlib import closing, suppress
from pathlib import Path

import msgpack
import pytest

from streamer.state.dead_letters import DeadLetters
from tests.cli.command import Desk, Watched
from tests.connectors.package import install

FOLLOW = "  - {nodeName: lines, kind: source, spec: {connector: file, path: logs/access.log, follow: true}}\n"
SAVE = "  - {nodeName: save, kind: sink, spec: {connector: file, path: out.jsonl}}\n"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("package"))


@pytest.fixture
def installed(desk: Desk, site: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk beside which the package of another author is installed."""
    monkeypatch.setenv("PYTHONPATH", str(site))
    return desk


def wait_for(job: Watched, desk: Desk, count: int) -> None:
    """Until so many records are in the sink."""
    out = desk.folder / "out.jsonl"
    while not out.exists() or out.read_bytes().count(b"\n") < count:
        with suppress(subprocess.TimeoutExpired):
            job.process.wait(timeout=0.02)
            raise AssertionError("the job has ended")


def process_of(desk: Desk, instance: str) -> int:
    """The id of the living process of an instance."""
    (folder,) = desk.home.glob(f"jobs/*/instances/{instance}")
    wanted = str(folder).encode()
    found = [entry for entry in Path("/proc").glob("[0-9]*/cmdline") if wanted in _content(entry)]
    assert len(found) == 1
    return int(found[0].parent.name)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it ended in the meantime
        return b""


def test_a_log_is_followed_over_rotations_and_kills_without_a_loss(desk: Desk) -> None:
    log = desk.folder / "logs" / "access.log"
    log.parent.mkdir()

    def write(first: int, last: int) -> None:
        with log.open("a") as file:
            file.writelines(f"request {n}\n" for n in range(first, last))

    write(0, 1000)
    desk.pipeline(FOLLOW + SAVE, "{main: lines >> save}")

    with desk.started("run", "pipeline.yaml", "--json") as job:
        wait_for(job, desk, 1000)
        for rotation in range(1, 4):
            write(rotation * 1000, rotation * 1000 + 500)
            os.kill(process_of(desk, "lines-0"), signal.SIGKILL)
            log.rename(log.with_name(f"access.log.{rotation}"))
            write(rotation * 1000 + 500, (rotation + 1) * 1000)
            wait_for(job, desk, (rotation + 1) * 1000)
        job.interrupt()
        done = job.finish()

    written = [json.loads(line) for line in (desk.folder / "out.jsonl").read_text().splitlines()]
    assert sorted(set(written)) == sorted(f"request {n}" for n in range(4000))
    assert (done.code, done.account["status"]) == (0, "stopped"), done.stderr
    (edge,) = done.account["edges"]
    assert (edge["sent"] - edge["abandoned"], edge["in_flight"]) == (4000, 0)
    restarts = {node["node"]: node["restarts"] for node in done.account["nodes"]}
    assert restarts == {"lines": 3, "save": 0}


NUMBERS = "  - {nodeName: up, kind: source, spec: {connector: countdown, start: 5, word: go}}\n"
BEEP = "  - {nodeName: down, kind: sink, spec: {connector: tee, path: out.txt}}\n"


def test_a_connector_of_another_package_reads_and_writes_in_a_job(installed: Desk) -> None:
    installed.pipeline(NUMBERS + BEEP, "{main: up >> down}")
    done = installed.run("run", "pipeline.yaml", "--json")

    assert done.code == 0, done.stderr
    assert (installed.folder / "out.txt").read_text().splitlines() == ["go 5", "go 4", "go 3", "go 2", "go 1"]
    assert done.account["edges"][0]["settled"] == 5


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        pytest.param("{connector: countdown}", "start: is missing", id="a-field-is-missing"),
        pytest.param("{connector: countdown, strat: 5}", "Did you mean start?", id="nearest-field"),
        pytest.param("{connector: countdown, start: 0}", "0 is not a whole number of at least 1", id="its-own-rule"),
        pytest.param("{connector: cuontdown, start: 5}", "Did you mean countdown?", id="nearest-connector"),
        pytest.param("{connector: tee, path: x}", 'the connector "tee" cannot be a source', id="the-other-end"),
        pytest.param(
            "{connector: zzz}", "file, stdin, generator, kafka, broken, countdown, nonsense", id="all-that-there-are"
        ),
        pytest.param("{connector: broken}", "ZeroDivisionError: division by zero", id="it-does-not-import"),
        pytest.param("{connector: broken}", "the connector 'broken' of streamer-countdown 1.0", id="whose-it-is"),
        pytest.param("{connector: nonsense}", "is a str, not a SourceConnector", id="it-is-no-connector"),
        pytest.param(
            "{connector: countdown, start: 13}", "13 brings bad luck. Choose another start.", id="its-own-problems"
        ),
    ],
)
def test_the_spec_of_a_connector_of_another_package_is_judged_before_a_job_exists(
    installed: Desk, spec: str, told: str
) -> None:
    installed.pipeline(
        f"  - {{nodeName: up, kind: source, spec: {spec}}}\n"
        "  - {nodeName: gone, kind: sink, spec: {connector: blackhole}}\n",
        "{main: up >> gone}",
    )
    done = installed.run("run", "pipeline.yaml", "--json")

    assert (done.code, done.stdout) == (2, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert installed.jobs() == []


def test_a_package_that_is_broken_harms_no_pipeline_that_does_not_name_it(installed: Desk) -> None:
    installed.pipeline(
        "  - {nodeName: up, kind: source, spec: {connector: generator, count: 3}}\n"
        "  - {nodeName: gone, kind: sink, spec: {connector: blackhole}}\n",
        "{main: up >> gone}",
    )
    done = installed.run("validate", "pipeline.yaml")

    assert (done.code, done.stdout) == (0, "words: no findings\n"), done.stderr


def test_a_connector_of_two_packages_is_a_finding_that_names_both(
    installed: Desk, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = installed.folder / "other" / "rival-2.0.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: rival\nVersion: 2.0\n")
    (other / "entry_points.txt").write_text("[streamer.connectors.sources]\ncountdown = rival:countdown\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (site, other.parent))))
    installed.pipeline(NUMBERS + SAVE, "{main: up >> save}")

    done = installed.run("validate", "pipeline.yaml")

    assert done.code == 2
    assert "the connector 'countdown' is installed twice, by streamer-countdown 1.0 and rival 2.0" in done.stdout


def test_what_is_gone_with_a_removed_file_stands_in_the_account_and_the_dead_letters(desk: Desk) -> None:
    log = desk.folder / "logs" / "access.log"
    log.parent.mkdir()
    log.write_text("".join(f"request {n}\n" for n in range(100)))
    desk.pipeline(FOLLOW + SAVE, "{main: lines >> save}")

    with desk.started("run", "pipeline.yaml", "--json") as job:
        wait_for(job, desk, 100)
        source = process_of(desk, "lines-0")
        os.kill(source, signal.SIGSTOP)
        log.unlink()
        log.write_text("another file\n")
        os.kill(source, signal.SIGKILL)
        wait_for(job, desk, 101)
        job.interrupt()
        done = job.finish()

    letters = DeadLetters(desk.jobs()[0] / "dead-letters.sqlite").find()
    lost = 100 + 1 - len({json.loads(line) for line in (desk.folder / "out.jsonl").read_text().splitlines()})
    assert (done.code, lost) == (0, 0), done.stderr
    assert 1 <= len(letters) <= 101
    assert all("removed, compressed or emptied" in kept.letter.error for kept in letters)
    assert done.account["nodes"][0]["failed"] == len(letters)


def test_rows_that_a_table_refuses_go_to_the_dead_letters_and_all_others_are_in_it(desk: Desk) -> None:
    records = [{"id": n} for n in range(2_000)] + [{"id": 7}, {"id": 1 << 63}]
    (desk.folder / "in.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    with closing(sqlite3.connect(desk.folder / "out.db")) as db:
        db.execute("CREATE TABLE results (id INTEGER PRIMARY KEY)")
    desk.pipeline(
        "  - {nodeName: read, kind: source, spec: {connector: file, path: in.jsonl, format: jsonl}}\n"
        "  - {nodeName: save, kind: sink, spec: {connector: sqlite, path: out.db, table: results, columns: [id]}}\n",
        "{main: read >> save}",
    )

    done = desk.run("run", "pipeline.yaml", "--json")

    assert done.code == 0, done.stderr
    with closing(sqlite3.connect(desk.folder / "out.db")) as db:
        assert db.execute("SELECT id FROM results ORDER BY id").fetchall() == [(n,) for n in range(2_000)]
    letters = [kept.letter for kept in DeadLetters(desk.jobs()[0] / "dead-letters.sqlite").find()]
    assert [msgpack.unpackb(letter.packed) for letter in letters] == [{"id": 7}, {"id": 1 << 63}]
    assert [letter.error for letter in letters] == [
        "IntegrityError: UNIQUE constraint failed: results.id",
        "OverflowError: Python int too large to convert to SQLite INTEGER",
    ]
    (edge,) = done.account["edges"]
    assert (edge["settled"], edge["dead_lettered"], edge["in_flight"]) == (2_000, 2, 0)
