"""Loading the user's algorithm: a file of plain functions, or a program that hands them to `Algorunner.Run`.

The file is executed once, in the instance's own process, its folder first on the module path, so that it may import
what lies beside it. A file that defines `start` is a module; one that calls `Algorunner.Run`, as HKube's programs do,
or defines no `start`, is executed as a program (`__main__`). What it raises is shown as the user's own. Where the job
has kept the code, that is what is executed (`kept_code`).
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

from streamer.errors import AlgorithmError
from streamer.plan.assignment import Code
from streamer.runtime.kept_code import KeptCode

Function = Callable[..., Any]
_MODULE = "streamer_user_algorithm"
_STARTS = frozenset({"start", "onMessages", "*"})


class Form(Enum):
    """How a function gives what it has to give."""

    PLAIN = "plain"
    GENERATOR = "generator"
    ASYNC = "async"
    ASYNC_GENERATOR = "async generator"

    @property
    def overlaps(self) -> bool:
        """Whether calls of such functions can overlap."""
        return self in (Form.ASYNC, Form.ASYNC_GENERATOR)


_FORMS: Mapping[Form, Callable[[object], bool]] = {
    Form.GENERATOR: inspect.isgeneratorfunction,
    Form.ASYNC: inspect.iscoroutinefunction,
    Form.ASYNC_GENERATOR: inspect.isasyncgenfunction,
}


def form_of(function: Function) -> Form:
    """The form of a function, or of an object that is called like one."""
    call = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004  # its form is asked for
    for form, has_form in _FORMS.items():
        if has_form(function) or has_form(call):
            return form
    return Form.PLAIN


@dataclass(frozen=True, slots=True)
class Algorithm:
    """The user's functions; `start` takes (args, api) whatever the user wrote, and `on_messages` (messages, api)."""

    name: str
    start: Function | None
    init: Function | None
    stop: Function | None
    exit: Function | None
    on_messages: Function | None = None
    form: Form = Form.PLAIN
    """Of `on_messages`, if there is one, else of `start`."""


def load_algorithm(code: Code, kept: str = "") -> Algorithm:
    """Execute the file, as it was `kept` in this folder. Raises AlgorithmError; an error of the user's own code is its
    cause."""
    path = Path(code.path)
    files = KeptCode(code, kept)
    if path not in files and not path.is_file():
        raise AlgorithmError(f"there is no file {code.path}")
    sys.path.insert(0, str(path.parent))
    files.find_beside(path.parent)
    try:
        handed = _execute(path, files)
    except (Exception, SystemExit) as error:  # whatever user code raises at import is reported as its error
        raise AlgorithmError(f"{code.path} does not import") from error
    start, on_messages = handed.get("start"), handed.get("onMessages")
    if start is None and on_messages is None:
        raise AlgorithmError(
            f"{code.path} defines no function start(args, api)",
            remedy="Define start(args, api) in the file, or call Algorunner.Run(start=start).",
        )
    init, stop, exit_ = (_with_arguments(code, name, handed.get(name), 1) for name in ("init", "stop", "exit"))
    return Algorithm(
        code.name,
        _with_arguments(code, "start", start, 2),
        init,
        stop,
        exit_,
        on_messages=_with_arguments(code, "onMessages", on_messages, 2),
        form=Form.PLAIN if (called := on_messages or start) is None else form_of(called),
    )


def _execute(path: Path, files: KeptCode) -> dict[str, Any]:
    """Execute the file once; its functions by name."""
    handed: dict[str, Any] = {}
    content = files.read(path)
    tree = ast.parse(content, str(path))
    if _binds_start(tree) and not _hands_over(tree):
        spec = files.spec(_MODULE, path) if path in files else importlib.util.spec_from_file_location(_MODULE, path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{path.name} is not a Python file")
        module: ModuleType = importlib.util.module_from_spec(spec)
        sys.modules[_MODULE] = module
        spec.loader.exec_module(module)
        return vars(module)
    try:
        from streamer_algorithm import host
    except ImportError:  # the file cannot have called Algorunner.Run then, so it can only define functions
        return _run(path, content)
    with host(lambda a: handed.update(start=a.start, init=a.init, stop=a.stop, exit=a.exit, onMessages=a.on_messages)):
        try:
            rest = _run(path, content)
        except SystemExit as end:
            if not handed or end.code:
                raise
            rest = {}  # sys.exit(main()) is how many programs end
    return handed or rest


def _run(path: Path, content: bytes) -> dict[str, Any]:
    """Execute a program as Python would; the names that it has defined."""
    program = ModuleType("__main__")
    program.__file__ = str(path)
    before, argument = sys.modules["__main__"], sys.argv[0]
    sys.modules["__main__"], sys.argv[0] = program, str(path)
    try:
        exec(compile(content, str(path), "exec"), vars(program))  # it is the user's own
    finally:
        sys.modules["__main__"], sys.argv[0] = before, argument
    return vars(program)


def _hands_over(tree: ast.Module) -> bool:
    """Whether the file calls `Algorunner.Run` somewhere: then it is a program, whatever it defines."""
    return any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "Run"
        and isinstance(node.func.value, ast.Name) and node.func.value.id == "Algorunner"
        for node in ast.walk(tree)
    )  # fmt: skip


def _binds_start(tree: ast.Module) -> bool:
    """Whether the file defines, assigns or imports `start` or `onMessages` at its top level."""
    for node in tree.body:
        names: list[str] = []
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names = [alias.asname or alias.name for alias in node.names]
        if not _STARTS.isdisjoint(names):
            return True
    return False


def _with_arguments(code: Code, name: str, function: Function | None, count: int) -> Function | None:
    """The function of this name, so that it takes `count` arguments; the user's may take one less."""
    if function is None:
        return None
    if not callable(function):
        raise AlgorithmError(f"{name} in {code.path} is not a function")
    if count == 1 and form_of(function).overlaps:
        raise AlgorithmError(
            f"{name} in {code.path} is async, and would not be waited for",
            remedy=f"Make {name} a plain function: only start, onMessage and onMessages may be async.",
        )
    if _takes(function, count):
        return function
    return lambda *arguments: function(*arguments[:-1])


def _takes(function: Function, count: int) -> bool:
    """Whether `function` can be called with this many positional arguments."""
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:  # a builtin without a signature
        return True
    return True


def listener(function: Function) -> Function:
    """`onMessage(msg, origin)` (or of messages), also where the user's function takes the first argument only."""
    if _takes(function, 2):
        return function
    if form_of(function) is not Form.ASYNC:
        return lambda message, _origin: function(message)

    async def call(message: object, _origin: str) -> None:
        await function(message)

    return call
