"""An algorithm runs as its job has kept it, whatever has become of the user's files since, under their names."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamer.control.kept_code import keep_code
from streamer.errors import AlgorithmError
from streamer.plan.assignment import Code, KeptFile
from streamer.runtime.algorithm import Function, load_algorithm
from streamer.runtime.letters import user_traceback
from tests.control.plans import LINE
from tests.control.test_preflight import coded

HELPED = """
import helper
from parts import names
from pathlib import Path

def start(args):
    import late
    if args == "fail":
        raise ValueError("as it was")
    return [helper.VALUE, names.VALUE, late.VALUE, Path(__file__).with_name("data.txt").read_text()]
"""
PROGRAM = (
    "from streamer_algorithm import Algorunner\nimport helper\n\nAlgorunner.Run(start=lambda args: helper.VALUE)\n"
)


@pytest.fixture(autouse=True)
def modules_as_before() -> Iterator[None]:
    path, modules, finders = list(sys.path), set(sys.modules), list(sys.meta_path)
    yield
    sys.path[:], sys.meta_path[:] = path, finders
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "user"
    (folder / "parts").mkdir(parents=True)
    for name in ("helper.py", "late.py", "parts/__init__.py", "parts/names.py"):
        (folder / name).write_text("VALUE = 'old'\n")
    (folder / "data.txt").write_text("data")
    return folder


def kept(folder: Path, text: str, *names: str) -> Code:
    """The code of this file, kept with these beside it; then everything is edited."""
    (folder / "work.py").write_text(text)
    files = [folder / name for name in ("work.py", *names)]
    plan = coded(LINE, parse=files[0])
    node = plan.nodes["parse"]
    assert node.code is not None
    code = Code(node.code.name, node.code.path, tuple(KeptFile(str(file)) for file in files))
    object.__setattr__(node, "code", code)
    found = keep_code(plan, folder.parent / "kept").nodes["parse"].code
    assert found is not None
    for name in ("work.py", "helper.py", "late.py", "parts/names.py"):
        (folder / name).write_text("VALUE = 'new'\n" + "\n" * 9 + "def start(args): return 'new'\n")
    return found


def start_of(code: Code, folder: Path) -> Function:
    start = load_algorithm(code, str(folder.parent / "kept")).start
    assert start is not None
    return start


def test_it_and_the_modules_beside_it_are_as_they_were_and_lie_where_they_lay(folder: Path) -> None:
    code = kept(folder, HELPED, "helper.py", "parts/__init__.py", "parts/names.py")

    assert start_of(code, folder)("args", None) == ["old", "old", "new", "data"], "what was not kept is found as ever"
    assert sys.modules["helper"].__file__ == str(folder / "helper.py")


def test_a_traceback_shows_the_lines_that_have_run(folder: Path) -> None:
    start = start_of(kept(folder, HELPED, "helper.py", "parts/__init__.py", "parts/names.py"), folder)

    with pytest.raises(ValueError, match="as it was") as raised:
        start("fail", None)
    shown = user_traceback(raised.value)
    assert f'"{folder / "work.py"}"' in shown
    assert 'raise ValueError("as it was")' in shown


def test_a_program_is_kept_as_well(folder: Path) -> None:
    assert start_of(kept(folder, PROGRAM, "helper.py"), folder)({}, None) == "old"


def test_files_of_the_user_may_be_gone(folder: Path) -> None:
    code = kept(folder, HELPED, "helper.py", "parts/__init__.py", "parts/names.py")
    (folder / "work.py").unlink()
    (folder / "helper.py").unlink()

    assert start_of(code, folder)("args", None)[0] == "old"


def test_kept_code_that_is_gone_is_an_error_of_the_job(folder: Path) -> None:
    code = kept(folder, HELPED)
    for file in (folder.parent / "kept").iterdir():
        file.unlink()

    with pytest.raises(AlgorithmError, match="does not import"):
        load_algorithm(code, str(folder.parent / "kept"))
