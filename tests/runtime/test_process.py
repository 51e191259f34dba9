"""Instances as processes: exit codes, what they say at their death, and what a kill leaves."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamer.limits import CRASH_ATTEMPTS_MAX
from streamer.plan.assignment import Code, Connector, Role
from streamer.state.life import read_life
from tests.runtime.office import Office

PASS = """
def start(args):
    return args["streamInput"]["message"]
"""


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path)
    yield office
    office.close()


def ids(office: Office) -> list[int]:
    return [json.loads(line)["id"] for line in office.lines]


# -- exit codes --------------------------------------------------------------------------------------------------------


def test_a_stream_with_an_end_leaves_in_order_with_code_0(office: Office) -> None:
    office.numbers(count=2_000)
    office.work(PASS)
    office.out()
    office.until_ended("numbers", "work", "out")
    assert [life.returncode for life in office.lives.values()] == [0, 0, 0]
    assert ids(office) == list(range(2_000))
    for node, target in (("numbers", "work"), ("work", "out")):
        edge = office.account(node).edge(target)
        assert (edge.sent, edge.settled, edge.in_flight) == (2_000, 2_000, 0)


def test_an_algorithm_that_cannot_be_loaded_ends_with_code_3_a_remedy_and_no_traceback_of_ours(office: Office) -> None:
    office.start("work", Role.STATELESS, code=Code("work", str(office.folder / "nowhere.py")))
    code, said = office.died("work")
    assert code == 3
    assert "nowhere.py" in said
    assert "code.path" in said
    assert "Traceback" not in said


def test_an_algorithm_that_does_not_import_ends_with_code_3_and_its_own_traceback(office: Office) -> None:
    office.work("import nothing_like_it\ndef start(args): pass\n")
    code, said = office.died("work")
    assert code == 3
    assert "No module named 'nothing_like_it'" in said
    assert 'work.py", line 1' in said
    assert "streamer/runtime" not in said


def test_state_that_is_damaged_ends_with_code_3_a_remedy_and_no_traceback(office: Office) -> None:
    counts = "def start(args, api):\n    api.state.counter('seen').add('here')\n    api.startMessageListening()\n"
    office.work(counts, Role.STATEFUL)
    office.until(lambda: bool(list(office.folder.rglob("state.sqlite"))))
    office.kill("work")
    (state,) = office.folder.rglob("state.sqlite")
    for file in state.parent.glob("state.sqlite*"):
        file.unlink()
    state.write_text("a text of mine\n" * 100)

    office.start("work", Role.STATEFUL, code=Code("work", str(office.folder / "work.py")))
    code, said = office.died("work")

    assert code == 3
    assert "state.sqlite" in said
    assert "Traceback" not in said


def test_a_connector_that_cannot_be_opened_ends_with_code_3(office: Office) -> None:
    spec = {"path": str(office.folder / "nowhere.log"), "format": "text"}
    office.start("numbers", Role.SOURCE, connector=Connector("file", spec))
    code, said = office.died("numbers")
    assert code == 3
    assert "nowhere.log" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("role", [Role.STATELESS, Role.STATEFUL])
def test_an_init_that_raises_ends_with_code_1_and_the_users_traceback(office: Office, role: Role) -> None:
    office.work("def init(args):\n    raise RuntimeError('no model')\ndef start(args): pass\n", role)
    code, said = office.died("work")
    assert code == 1
    assert said.endswith("RuntimeError: no model\n")
    assert "streamer/runtime" not in said


def test_a_stateful_start_that_raises_ends_with_code_1_and_the_users_traceback(office: Office) -> None:
    office.work("def start(args, api):\n    raise RuntimeError('no camera')\n", Role.STATEFUL)
    code, said = office.died("work")
    assert code == 1
    assert said.endswith("RuntimeError: no camera\n")
    assert "streamer/runtime" not in said


# -- kills -------------------------------------------------------------------------------------------------------------


def test_a_killed_instance_leaves_a_balanced_account_and_its_next_life_loses_nothing(office: Office) -> None:
    slow = "import time\n" + PASS.replace("return", "time.sleep(0.0005); return")
    office.numbers(count=3_000)
    office.work(slow)
    office.out()
    for _ in range(2):
        office.until(lambda: "work" in office.samples and office.samples["work"].received > 100)
        office.kill("work")
        assert office.lives["work"].returncode == -signal.SIGKILL
        for node in ("numbers", "work"):
            office.account(node)
        office.work(slow)
    office.until_ended("numbers", "work", "out")
    assert set(ids(office)) == set(range(3_000))
    source, work = office.account("numbers").edge("work"), office.account("work").edge("out")
    assert (source.sent, source.settled, source.abandoned) == (3_000, 3_000, 0)
    assert work.sent == work.settled + work.abandoned
    assert len(office.lines) >= 3_000


def test_a_killed_source_sends_again_only_what_was_not_settled(office: Office) -> None:
    office.numbers(count=3_000, rate=3_000)
    office.work(PASS)
    office.out()
    office.until(lambda: "numbers" in office.samples and office.samples["numbers"].completed > 500)
    office.kill("numbers")
    before = office.account("numbers").edge("work")
    office.numbers(count=3_000, rate=30_000)
    office.until_ended("numbers", "work", "out")
    edge = office.account("numbers").edge("work")
    assert edge.abandoned == before.in_flight
    assert edge.sent - edge.abandoned == office.account("numbers").received == 3_000
    assert set(ids(office)) == set(range(3_000))
    assert len(office.lines) <= 3_000 + before.in_flight


@pytest.mark.parametrize("code", [3, 0])
def test_a_handler_that_ends_its_process_leaves_no_word_of_its_own(office: Office, code: int) -> None:
    office.numbers(count=1)
    office.work(f"import os\ndef start(args):\n    os._exit({code})\n")
    assert office.died("work")[0] == code
    life = read_life(office.folder / "work")
    assert life is not None and life.code is None


def test_a_message_that_kills_its_instances_is_dead_lettered_by_its_sender_and_no_other_is(office: Office) -> None:
    deadly = """
    import os
    def start(args):
        message = args["streamInput"]["message"]
        if message["id"] == 7:
            os._exit(9)
        return message
    """
    office.numbers(count=200)
    office.out()
    for _ in range(CRASH_ATTEMPTS_MAX):
        office.work(deadly)
        assert office.died("work")[0] == 9
    office.work(deadly)
    office.until_ended("numbers", "work", "out")
    (letter,) = office.letters
    assert (letter.reason, letter.message, letter.attempts) == ("crash", {"id": 7}, CRASH_ATTEMPTS_MAX)
    assert set(ids(office)) == set(range(200)) - {7}
    edge = office.account("numbers").edge("work")
    assert (edge.settled, edge.dead_lettered, edge.in_flight) == (199, 1, 0)


def test_a_controller_with_much_to_say_keeps_no_report_back(office: Office) -> None:
    office.numbers(rate=10)
    office.work(PASS)
    office.until(lambda: office.reports["work"] > 0)

    def told_often() -> bool:
        for _ in range(5):
            office.say_again("work")
        return office.reports["work"] > 4

    office.until(told_often)


# -- a stateful node of its own ----------------------------------------------------------------------------------------


def test_a_stateful_start_lives_in_the_main_thread_and_its_return_ends_the_stream_of_a_source(office: Office) -> None:
    source = office.folder / "numbers.py"
    source.write_text(
        "import threading\n"
        "def start(args, api):\n"
        "    assert threading.current_thread() is threading.main_thread()\n"
        "    for n in range(1000):\n"
        "        api.sendMessage({'id': n})\n"
    )
    office.start("numbers", Role.STATEFUL, code=Code("numbers", str(source)))
    office.work(PASS)
    office.out()
    office.until_ended("numbers", "work", "out")
    assert [life.returncode for life in office.lives.values()] == [0, 0, 0]
    assert ids(office) == list(range(1_000))
