"""Loading the user's algorithm: plain files, programs of HKube, and everything that can be wrong with either."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streamer.errors import AlgorithmError
from streamer.plan.assignment import Code
from streamer.runtime.algorithm import Algorithm, Form, form_of, listener, load_algorithm
from streamer.runtime.letters import user_traceback

Write = Callable[[str], Algorithm]


@pytest.fixture(autouse=True)
def path_as_before() -> Iterator[None]:
    """Each algorithm puts its folder on the module path of its process, which here is that of all tests."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@pytest.fixture
def load(tmp_path: Path) -> Write:
    def write_and_load(text: str) -> Algorithm:
        path = tmp_path / "words.py"
        path.write_text(textwrap.dedent(text))
        return load_algorithm(Code("words", str(path)))

    return write_and_load


def start_of(algorithm: Algorithm) -> Callable[..., object]:
    assert algorithm.start is not None
    return algorithm.start


# -- files of functions ------------------------------------------------------------------------------------------------


def test_a_file_of_plain_functions_is_an_algorithm(load: Write) -> None:
    algorithm = load(
        """
        def init(args): return "init"
        def start(args, api): return [args, api]
        def stop(args): return "stop"
        def exit(args): return "exit"
        """
    )
    assert algorithm.name == "words"
    assert start_of(algorithm)("args", "api") == ["args", "api"]
    assert [f and f({}) for f in (algorithm.init, algorithm.stop, algorithm.exit)] == ["init", "stop", "exit"]


def test_only_start_is_needed(load: Write) -> None:
    algorithm = load("def start(args, api): return 1\n")
    assert (algorithm.init, algorithm.stop, algorithm.exit) == (None, None, None)


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        pytest.param("args", ("a", None), id="args only"),
        pytest.param("args, api", ("a", "b"), id="both"),
        pytest.param("args, hkubeApi=None", ("a", "b"), id="the second has a default"),
        pytest.param("args, *rest", ("a", "b"), id="any number"),
        pytest.param("args, **named", ("a", None), id="names only"),
    ],
)
def test_start_may_take_args_alone_or_args_and_api(
    load: Write, signature: str, expected: tuple[str, str | None]
) -> None:
    name = {"args, api": "api", "args, hkubeApi=None": "hkubeApi", "args, *rest": "rest[0]"}.get(signature, "None")
    algorithm = load(f"def start({signature}): return (args, {name})\n")
    assert start_of(algorithm)("a", "b") == expected


@pytest.mark.parametrize("name", ["init", "stop", "exit"])
def test_the_other_functions_may_take_nothing(load: Write, name: str) -> None:
    algorithm = load(f"def start(args): pass\ndef {name}(): return 'called'\n")
    function = {"init": algorithm.init, "stop": algorithm.stop, "exit": algorithm.exit}[name]
    assert function is not None
    assert function({}) == "called"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("class Words:\n    def __call__(self, args, api): return 7\nstart = Words()\n", id="an object"),
        pytest.param("from functools import partial\nstart = partial(lambda n, args, api: n, 7)\n", id="a partial"),
        pytest.param("class start:\n    def __new__(cls, args, api): return 7\n", id="a class"),
        pytest.param(
            "try:\n    import nothing_like_it\nexcept ImportError:\n    def start(args, api): return 7\n", id="in a try"
        ),
        pytest.param("if True:\n    start = lambda args, api: 7\n", id="in an if"),
        pytest.param("start: object = lambda args, api: 7\n", id="with a type"),
    ],
)
def test_start_may_be_anything_that_can_be_called(load: Write, text: str) -> None:
    assert start_of(load(text))({}, None) == 7


def test_a_file_imports_what_lies_beside_it(load: Write, tmp_path: Path) -> None:
    (tmp_path / "beside_words.py").write_text("def start(args): return 'beside'\n")
    assert start_of(load("from beside_words import start\n"))({}, None) == "beside"


def test_a_file_knows_itself_by_its_module(load: Write) -> None:
    algorithm = load(
        """
        from dataclasses import dataclass
        import pickle

        @dataclass
        class Word:
            text: str

        def start(args): return pickle.loads(pickle.dumps(Word("here"))).text
        """
    )
    assert start_of(algorithm)({}, None) == "here"


def test_forms_of_functions_are_told_apart(load: Write) -> None:
    assert load("def start(args):\n    yield 1\n").form is Form.GENERATOR
    assert load("async def start(args):\n    return 1\n").form is Form.ASYNC
    assert load("def start(args):\n    return 1\n").form is Form.PLAIN
    assert form_of(print) is Form.PLAIN


# -- programs ----------------------------------------------------------------------------------------------------------


def test_a_program_hands_its_functions_over(load: Write) -> None:
    algorithm = load(
        """
        from streamer_algorithm import Algorunner

        def count(args, api): return "counted"
        def goodbye(args): return "stopped"

        if __name__ == "__main__":
            Algorunner.Run(start=count, stop=goodbye)
        """
    )
    assert start_of(algorithm)({}, None) == "counted"
    assert algorithm.stop is not None
    assert algorithm.stop({}) == "stopped"


def test_a_program_may_end_as_programs_end(load: Write) -> None:
    algorithm = load(
        """
        import sys
        from streamer_algorithm import Algorunner

        def main():
            Algorunner.Run(start=lambda args: "counted")
            return 0

        sys.exit(main())
        """
    )
    assert start_of(algorithm)({}, None) == "counted"


def test_a_program_that_gives_up_is_an_error(load: Write) -> None:
    with pytest.raises(AlgorithmError, match="does not import"):
        load("from streamer_algorithm import Algorunner\nAlgorunner.Run(start=lambda args: 1)\nraise SystemExit(2)\n")


def test_a_file_without_the_small_distribution_is_still_executed(load: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "streamer_algorithm", None)
    assert start_of(load("if True:\n    def start(args): return 7\n"))({}, None) == 7
    with pytest.raises(AlgorithmError, match="defines no function start"):
        load("print\n")


# -- what is wrong -----------------------------------------------------------------------------------------------------


def cause_of(error: AlgorithmError) -> str:
    assert error.__cause__ is not None
    return user_traceback(error.__cause__)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(AlgorithmError, match=r"there is no file .*nowhere\.py"):
        load_algorithm(Code("words", str(tmp_path / "nowhere.py")))


@pytest.mark.parametrize("text", ["", "x = 1\n", "def begin(args): pass\n", "start = None\n"])
def test_a_file_without_start_is_told_what_to_define(load: Write, text: str) -> None:
    with pytest.raises(AlgorithmError, match=r"words\.py defines no function start\(args, api\)") as raised:
        load(text)
    assert "Define start(args, api)" in raised.value.advice


@pytest.mark.parametrize(("name", "value"), [("start", "7"), ("init", "'text'"), ("stop", "{}"), ("exit", "[1]")])
def test_what_is_no_function_is_named(load: Write, name: str, value: str) -> None:
    with pytest.raises(AlgorithmError, match=rf"{name} in .*words\.py is not a function"):
        load(f"def start(args): pass\n{name} = {value}\n")


def test_an_error_at_import_is_shown_as_the_users_own(load: Write) -> None:
    with pytest.raises(AlgorithmError, match=r"words\.py does not import") as raised:
        load("import math\n\ndef start(args): pass\n\nmath.sqrt(-1)\n")
    shown = cause_of(raised.value)
    assert shown.endswith("ValueError: math domain error\n")
    assert 'words.py", line 5, in <module>' in shown
    assert "streamer" not in shown


def test_a_module_that_does_not_exist_is_shown_with_the_line_that_wants_it(load: Write) -> None:
    with pytest.raises(AlgorithmError) as raised:
        load("import nothing_like_it\ndef start(args): pass\n")
    assert "No module named 'nothing_like_it'" in cause_of(raised.value)


def test_a_syntax_error_is_shown_with_its_line_and_no_frame_of_ours(load: Write) -> None:
    with pytest.raises(AlgorithmError) as raised:
        load("def start(args):\n    return (\n")
    shown = cause_of(raised.value)
    assert 'words.py", line 2' in shown
    assert "SyntaxError: '(' was never closed" in shown
    assert "streamer" not in shown


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "words.py"
    path.write_bytes(b"\xff\xfe\x00start")
    with pytest.raises(AlgorithmError, match="does not import"):
        load_algorithm(Code("words", str(path)))


def test_a_file_that_ends_the_process_is_an_error(load: Write) -> None:
    with pytest.raises(AlgorithmError, match="does not import"):
        load("import sys\ndef start(args): pass\nsys.exit(0)\n")


# -- listeners ---------------------------------------------------------------------------------------------------------


def test_a_listener_may_take_the_message_alone() -> None:
    seen: list[object] = []
    listener(lambda message: seen.append(message))("a", "lines")
    listener(lambda message, origin: seen.append((message, origin)))("b", "lines")
    assert seen == ["a", ("b", "lines")]
