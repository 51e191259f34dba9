"""The local platform with real processes: small programs that print, exit, start others and are killed."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streamer import limits
from streamer.errors import PlatformError
from streamer.plan.assignment import Assignment, Connector, Role, Wiring
from streamer.plan.routing import RouteTable
from streamer.platform.base import Exit
from streamer.platform.local import LocalPlatform

_PATIENCE_S = 20.0


class Shop:
    """A platform whose instances run a given Python program; `lines` are what they printed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: list[tuple[str, str, str]] = []
        (folder / "logs").mkdir()
        self._program = folder / "program.py"
        self._stdout = folder / "stdout"
        self._stdout_fd = os.open(self._stdout, os.O_RDWR | os.O_CREAT)
        self.platform = LocalPlatform(
            (sys.executable, "-S", str(self._program)),
            logs=folder / "logs",
            on_output=lambda node, instance, line: self.lines.append((node, instance, line)),
            stdout_fd=self._stdout_fd,
        )

    def assignment(self, *, index: int = 0, epoch: int = 1, connector: str | None = None) -> Assignment:
        return Assignment(
            job="job",
            pipeline="words",
            token="secret",
            node="parse",
            instance=f"parse-{index}",
            epoch=epoch,
            role=Role.STATELESS,
            wiring=Wiring(1, (RouteTable((), ""),), 1),
            folder=str(self.folder / f"parse-{index}"),
            dead_letters="",
            control="",
            connector=Connector(connector, {}) if connector else None,
        )

    def start(self, program: str, *, index: int = 0, epoch: int = 1, connector: str | None = None) -> None:
        if not self._program.exists() or self._program.read_text() != program:
            self._program.write_text(program)
        self.platform.start(self.assignment(index=index, epoch=epoch, connector=connector))

    def serve_until(self, seen: Callable[[tuple[Exit, ...]], bool]) -> tuple[Exit, ...]:
        """Poll as a host does, until `seen` is content with the exits so far; they are returned."""
        exits: tuple[Exit, ...] = ()
        deadline = time.monotonic() + _PATIENCE_S
        while not seen(exits):
            assert time.monotonic() < deadline, f"nothing more came; lines so far: {self.lines[-3:]}"
            select.select([self.platform.fileno()], [], [], 0.01)
            exits += self.platform.poll()
        return exits

    def exit_of(self, program: str, **facts: str) -> Exit:
        self.start(program, connector=facts.get("connector"))
        (exit_,) = self.serve_until(bool)
        return exit_

    def log(self, index: int = 0) -> str:
        return (self.folder / "logs" / f"parse-{index}.log").read_text()

    def stdout(self) -> str:
        return self._stdout.read_text()

    def close(self) -> None:
        self.platform.close()
        os.close(self._stdout_fd)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path)
    yield shop
    shop.close()


def is_there(pid: int) -> bool:
    """Whether a process lives; a zombie of somebody else's does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# -- output -----------------------------------------------------------------------------------------------------------


def test_each_line_is_told_with_its_node_and_instance_and_stands_in_the_log(shop: Shop) -> None:
    shop.exit_of("import sys; print('one'); print('two', file=sys.stderr)")
    assert sorted(shop.lines) == [("parse", "parse-0", "one"), ("parse", "parse-0", "two")]
    assert sorted(shop.log().splitlines()) == ["one", "two"]


def test_a_last_line_without_an_end_is_told_at_the_exit(shop: Shop) -> None:
    assert shop.exit_of("print('almost', end='')").output == ("almost",)
    assert shop.lines == [("parse", "parse-0", "almost")]


def test_a_partial_line_waits_for_its_end_while_the_instance_lives(shop: Shop) -> None:
    shop.start(
        "import os, sys, time\n"
        "os.write(1, b'first\\nsec')\n"
        "open(sys.argv[1] + '.go', 'x').close()\n"
        "while not os.path.exists(sys.argv[1] + '.on'): time.sleep(0.005)\n"
        "os.write(1, b'ond\\n')\n"
    )
    shop.serve_until(lambda _: bool(shop.lines))
    assert [line for _, _, line in shop.lines] == ["first"]
    Path(shop.folder / "parse-0" / "assignment.json.on").touch()
    shop.serve_until(bool)
    assert [line for _, _, line in shop.lines] == ["first", "second"]


def test_a_line_that_is_too_long_is_told_in_pieces(shop: Shop) -> None:
    shop.exit_of(f"print('x' * {2 * limits.OUTPUT_LINE_BYTES_MAX + 7})")
    assert [len(line) for _, _, line in shop.lines] == [limits.OUTPUT_LINE_BYTES_MAX] * 2 + [7]


def test_bytes_that_are_no_text_are_told_all_the_same(shop: Shop) -> None:
    shop.exit_of("import os; os.write(1, b'caf\\xe9\\n')")
    assert shop.lines == [("parse", "parse-0", "caf\ufffd")]


def test_an_instance_that_prints_without_end_is_read_to_its_log_and_shown_in_part(shop: Shop) -> None:
    count = 20 * limits.OUTPUT_LINES_MAX_S
    shop.exit_of(f"for n in range({count}): print(n)")
    assert shop.log().splitlines() == [str(n) for n in range(count)]
    assert len(shop.lines) < count
    told = [line.split()[1] for _, _, line in shop.lines if "more lines, not shown" in line]
    shown = [line for _, _, line in shop.lines if "more lines" not in line]
    assert sum(map(int, told)) + len(shown) == count


def test_the_last_lines_are_given_with_the_exit(shop: Shop) -> None:
    exit_ = shop.exit_of(f"for n in range({3 * limits.OUTPUT_TAIL_LINES}): print(n)")
    assert exit_.output == tuple(map(str, range(2 * limits.OUTPUT_TAIL_LINES, 3 * limits.OUTPUT_TAIL_LINES)))


def test_the_log_goes_on_in_the_next_life(shop: Shop) -> None:
    shop.exit_of("print('first life')")
    shop.start("print('second life')", epoch=2)
    shop.serve_until(bool)
    assert shop.log() == "first life\nsecond life\n"


# -- standard streams of connectors -----------------------------------------------------------------------------------


def test_a_stdout_connector_writes_to_the_stdout_that_it_was_given(shop: Shop) -> None:
    shop.exit_of("import sys; print('record'); print('word', file=sys.stderr)", connector="stdout")
    assert shop.stdout() == "record\n"
    assert shop.lines == [("parse", "parse-0", "word")]


def test_other_instances_write_nothing_there(shop: Shop) -> None:
    shop.exit_of("print('word')")
    assert shop.stdout() == ""


@pytest.mark.parametrize(("connector", "read"), [("stdin", "'typed'"), ("file", "''")])
def test_only_a_stdin_connector_reads_the_supervisor_s_stdin(shop: Shop, connector: str, read: str) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"typed")
    os.close(writer)
    before = os.dup(0)
    os.dup2(reader, 0)
    try:
        shop.exit_of("import sys; print(repr(sys.stdin.read()))", connector=connector)
    finally:
        os.dup2(before, 0)
        os.close(before)
        os.close(reader)
    assert shop.lines == [("parse", "parse-0", read)]


# -- lives ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("program", "code"),
    [
        pytest.param("pass", 0, id="in order"),
        pytest.param("raise SystemExit(3)", 3, id="by a code"),
        pytest.param("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV, id="by a signal"),
    ],
)
def test_an_exit_is_told_with_its_code(shop: Shop, program: str, code: int) -> None:
    exit_ = shop.exit_of(program)
    assert (exit_.instance, exit_.epoch, exit_.code) == ("parse-0", 1, code)


def test_an_instance_finds_its_assignment_in_a_file_that_others_cannot_read(shop: Shop) -> None:
    shop.exit_of("import sys; print(open(sys.argv[1]).read())")
    assert Assignment.from_json(shop.lines[0][2]) == shop.assignment()
    assert (shop.folder / "parse-0" / "assignment.json").stat().st_mode & 0o077 == 0


def test_a_kill_ends_a_life_and_all_that_it_started(shop: Shop) -> None:
    shop.start(
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    shop.serve_until(lambda _: bool(shop.lines))
    child = int(shop.lines[0][2])
    shop.platform.kill("parse-0", 1)
    (exit_,) = shop.serve_until(bool)
    assert exit_.code == -signal.SIGKILL
    shop.serve_until(lambda _: not is_there(child))


def test_what_an_instance_leaves_behind_at_its_exit_is_killed_and_does_not_hold_it_up(shop: Shop) -> None:
    shop.exit_of(
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True)\n"
    )
    child = int(shop.lines[0][2])
    shop.serve_until(lambda _: not is_there(child))


def test_a_kill_of_an_earlier_life_leaves_the_next_one_alone(shop: Shop) -> None:
    shop.exit_of("pass")
    shop.start("import sys; sys.stdin.read(); print('alive')", epoch=2)
    shop.platform.kill("parse-0", 1)
    shop.platform.kill("unknown", 1)
    (exit_,) = shop.serve_until(bool)
    assert (exit_.epoch, exit_.code) == (2, 0)


def test_an_instance_is_not_started_while_its_last_life_goes_on(shop: Shop) -> None:
    shop.start("import time; time.sleep(600)")
    with pytest.raises(PlatformError, match="its last life goes on"):
        shop.start("pass", epoch=2)


def test_a_start_that_fails_says_so_and_can_be_tried_again(shop: Shop) -> None:
    (shop.folder / "parse-0").write_text("in the way")
    with pytest.raises(PlatformError, match="parse-0 cannot be started"):
        shop.start("pass")
    (shop.folder / "parse-0").unlink()
    assert shop.exit_of("pass").code == 0


def test_the_terminal_s_interrupt_does_not_reach_an_instance(shop: Shop) -> None:
    shop.exit_of("import os; print(os.getsid(0) == os.getpid() == os.getpgid(0))")
    assert shop.lines == [("parse", "parse-0", "True")]


def test_many_instances_live_side_by_side(shop: Shop) -> None:
    for index in range(8):
        shop.start("import sys; print(sys.argv[1])", index=index)
    exits = shop.serve_until(lambda exits: len(exits) == 8)
    assert {exit_.instance for exit_ in exits} == {f"parse-{n}" for n in range(8)}
    assert {line for _, _, line in shop.lines} == {
        str(shop.folder / f"parse-{n}" / "assignment.json") for n in range(8)
    }


def test_closing_kills_and_reaps_what_is_left(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.start("import os, time; print(os.getpid(), flush=True); time.sleep(600)")
    shop.serve_until(lambda _: bool(shop.lines))
    shop.close()
    assert not is_there(int(shop.lines[0][2]))
