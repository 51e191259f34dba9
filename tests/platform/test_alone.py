"""Instances that outlive whoever started them: found again, watched, killed, and never taken for another process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streamer import limits
from streamer.plan.assignment import Assignment, Connector, Role, Wiring
from streamer.plan.routing import RouteTable
from streamer.platform.adopted import AdoptedProcess, started_at
from streamer.platform.alone import AlonePlatform, is_locked
from streamer.platform.base import Exit
from streamer.platform.log_file import LogFile

_PATIENCE_S = 20.0
_LOOK_S = 0.01


class Shop:
    """A folder, and the platforms that come and go over it; instances run a given Python program."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.instance_folder = folder / "parse-0"
        self.program = folder / "program.py"
        (folder / "logs").mkdir()
        self.platform = self.opened()

    def opened(self) -> AlonePlatform:
        return AlonePlatform(
            (sys.executable, "-S", str(self.program)), logs=self.folder / "logs", stdout=self.folder / "stdout"
        )

    def start(self, program: str, connector: str | None = None) -> int:
        """The instance's process, which says who it is in its log."""
        self.program.write_text("import os, time\nprint(os.getpid(), flush=True)\n" + program)
        self.platform.start(
            Assignment(
                job="job", pipeline="words", token="secret", node="parse", instance="parse-0", epoch=1,
                role=Role.STATELESS, wiring=Wiring(1, (RouteTable((), ""),), 1),
                folder=str(self.instance_folder), dead_letters="", control="",
                connector=Connector(connector, {}) if connector else None,
            )
        )  # fmt: skip
        told = self.folder / ("stdout" if connector else "logs/parse-0.log")
        until(lambda: told.exists() and told.read_text().count("\n") > 0)
        return int(told.read_text().split()[0])

    def exit(self) -> Exit:
        exits: list[Exit] = []

        def told() -> bool:
            exits.extend(self.platform.poll())
            return bool(exits)

        until(told)
        return exits[0]


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(_LOOK_S)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path)
    yield shop
    shop.platform.kill("parse-0", 1)
    shop.platform.close()


def test_an_instance_lives_on_when_its_platform_is_closed_and_is_taken_up_by_the_next(shop: Shop) -> None:
    pid = shop.start("time.sleep(60)")
    shop.platform.close()
    assert is_locked(shop.instance_folder)

    shop.platform = shop.opened()
    shop.platform.adopt("parse-0", 1, pid, started_at(pid))
    assert shop.platform.poll() == ()

    shop.platform.kill("parse-0", 1)
    told = shop.exit()
    assert (told.instance, told.epoch, told.code) == ("parse-0", 1, None)
    os.waitpid(pid, 0)
    assert not is_locked(shop.instance_folder)


def test_the_exit_of_a_child_is_told_with_its_code_and_its_last_lines(shop: Shop) -> None:
    shop.start("print('last words')\nos._exit(7) if not print(end='', flush=True) else None")

    told = shop.exit()

    assert (told.code, told.output[-1]) == (7, "last words")


def test_what_an_instance_has_started_keeps_its_lock_and_dies_with_it(shop: Shop) -> None:
    pid = shop.start("os.fork() or time.sleep(60)\ntime.sleep(60)")
    os.kill(pid, signal.SIGKILL)
    assert is_locked(shop.instance_folder)

    shop.exit()

    until(lambda: not is_locked(shop.instance_folder))


def test_a_number_that_belongs_to_another_process_by_now_is_left_alone(shop: Shop) -> None:
    with subprocess.Popen((sys.executable, "-c", "import time; time.sleep(60)"), start_new_session=True) as other:
        shop.platform.adopt("parse-0", 1, other.pid, started_at(other.pid) - 1)

        assert shop.exit().code is None

        assert other.poll() is None
        other.kill()


def test_a_process_that_is_gone_has_ended() -> None:
    with subprocess.Popen((sys.executable, "-c", "")) as gone:
        gone.wait()

    process = AdoptedProcess(gone.pid, 1)

    assert process.has_ended()
    process.kill_group()
    process.close()


def test_records_of_a_stdout_sink_go_into_a_file_of_the_job(shop: Shop) -> None:
    shop.start("import sys\nsys.stderr.write('beside')", connector="stdout")
    shop.exit()

    assert (shop.folder / "logs" / "parse-0.log").read_text() == "beside"


def test_a_long_log_is_set_aside_and_goes_on_in_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "parse-0.log"
    log = LogFile(path)
    fd = log.open()
    os.truncate(fd, limits.LOG_BYTES_MAX + 1)

    log.keep_short()
    os.write(fd, b"after\n")
    os.close(fd)

    assert path.read_bytes() == b"after\n"
    assert path.with_name("parse-0.log.1").stat().st_size == limits.LOG_BYTES_MAX + 1
    assert log.finish() == ("after",)


def test_last_words_are_those_of_this_life(tmp_path: Path) -> None:
    path = tmp_path / "parse-0.log"
    path.write_text("an earlier life\n")
    log = LogFile(path)
    with path.open("a") as file:
        file.write("this one\n")

    assert log.finish() == ("this one",)
