"""The distribution for algorithm authors hands functions over, and says what to do where nobody takes them.

It is tried as its users meet it: as a file that is executed by an instance, and as one that is started by hand.
"""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from streamer_algorithm import Algorithm, Algorunner, NotHostedError, StreamingApi, host

from streamer.runtime.api import Api

PROGRAM = """
from streamer_algorithm import Algorunner

def start(args, api):
    return args["streamInput"]["message"] * 2

def stop(args):
    pass

if __name__ == "__main__":
    Algorunner.Run(start=start, stop=stop, options={"level": 1})
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "double.py"
    path.write_text(PROGRAM, encoding="utf-8")
    return path


def test_a_program_with_its_own_main_hands_its_functions_to_the_instance(program: Path) -> None:
    handed: list[Algorithm] = []

    with host(handed.append):
        runpy.run_path(str(program), run_name="__main__")

    [algorithm] = handed
    assert algorithm.start is not None
    assert algorithm.start({"streamInput": {"message": 21}}, None) == 42
    assert algorithm.stop is not None
    assert algorithm.init is None
    assert algorithm.exit is None
    assert algorithm.options == {"level": 1}


def test_a_program_started_by_hand_says_how_to_run_it(program: Path) -> None:
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 1
    assert "streamer run PIPELINE" in done.stderr.splitlines()[-1]


def test_run_needs_a_start() -> None:
    with host(lambda _: None), pytest.raises(TypeError, match="needs start"):
        Algorunner.Run(stop=lambda _: None)


def test_nothing_is_taken_after_the_host_has_closed() -> None:
    with host(lambda _: None):
        pass

    with pytest.raises(NotHostedError):
        Algorunner.Run(start=lambda _: None)


def test_the_innermost_host_takes_the_functions() -> None:
    outer: list[Algorithm] = []
    inner: list[Algorithm] = []

    with host(outer.append), host(inner.append):
        Algorunner.Run(start=lambda _: None)

    assert (len(outer), len(inner)) == (0, 1)


def test_the_api_of_an_instance_has_every_call_of_the_protocol() -> None:
    def conforms(api: Api) -> StreamingApi:
        """Parameters and results are compared where this file is type-checked."""
        return api

    calls = [name for name in vars(StreamingApi) if not name.startswith("_")]

    assert calls
    assert [name for name in calls if not hasattr(Api, name)] == []
    assert conforms is not None
