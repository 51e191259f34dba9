"""The house rules that no tool checks: each takes a module and yields what is wrong, where, and what to do instead.

They are plain functions over a syntax tree, so that each can be tried on a bad snippet as well as on the project: a
rule that has never been seen to bite is not trusted. What ruff can check stands in pyproject.toml and not here.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import PurePosixPath

from tests.house.source import Module

Rule = Callable[[Module], Iterator[str]]

LINES_MAX = 400
FUNCTION_LINES_MAX = 60
VAGUE_NAMES = frozenset({"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers"})
MAY_PRINT = frozenset(
    {
        PurePosixPath("streamer/cli/output.py"),
        PurePosixPath("examples/03-access-log/enrich.py"),  # what an algorithm prints stands in its log
    }
)
MAY_CATCH_ALL: Mapping[PurePosixPath, str] = {
    PurePosixPath("autoscaler/loop.py"): "a supervising loop: a defect costs one pass, is shown whole and is counted",
    PurePosixPath("streamer/cli/entry.py"): "the outermost frame: a defect of ours gets its traceback and exit code 70",
    PurePosixPath("streamer/connectors/installed.py"): "whatever a package raises at import is that package's error",
    PurePosixPath("streamer/control/cluster/faust_app.py"): "whatever Faust raises, jobs must be led again",
    PurePosixPath("streamer/control/cluster/leading.py"): "a defect of ours is shown whole, and jobs must be led again",
    PurePosixPath("streamer/runtime/algorithm.py"): "whatever a user's file raises at import is that file's error",
    PurePosixPath("streamer/runtime/calls.py"): "whatever a handler raises is the fate of its message",
    PurePosixPath("streamer/runtime/overlap.py"): "whatever an async handler raises is the fate of its message",
    PurePosixPath(
        "streamer/runtime/process.py"
    ): "whatever ends an instance is shown in its log, and a new life follows",
    PurePosixPath("streamer/testing/harness.py"): "whatever ends a play is raised in the test that asked for it",
}
"""Where the user's code is called, and the outermost frames: nothing may pass, and nothing is lost on the way."""
MAY_SAY: Collection[tuple[PurePosixPath, str]] = frozenset({(PurePosixPath("streamer/cli/run.py"), "run")})
"""`run` is the verb of the command, and its module is found by that name."""

_SENTENCE_END = re.compile(r"[.!?][\"')\]]*(?=\s|$)")
_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_IGNORE = re.compile(r"#\s*type:\s*ignore(?P<code>\[[\w, -]+\])?(?P<reason>\s*#\s*\S+)?")


def says_why(module: Module) -> Iterator[str]:
    """The first screen of a module tells its problem, its rule, and what was rejected."""
    if len(_SENTENCE_END.findall(ast.get_docstring(module.tree) or "")) < 2:
        yield f"{module.path}:1: give it a docstring of two sentences or more: the problem, and the rule it keeps"


def is_short(module: Module) -> Iterator[str]:
    lines = module.text.count("\n")
    if lines > LINES_MAX:
        yield f"{module.path}: {lines} lines, at most {LINES_MAX}: split it by noun into two modules"


def has_short_functions(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1 - _docstring_lines(node)
            if lines > FUNCTION_LINES_MAX:
                yield (
                    f"{module.path}:{node.lineno}: {node.name} has {lines} lines, at most {FUNCTION_LINES_MAX}: "
                    "name its parts and give each a function"
                )


def _docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    if ast.get_docstring(node) is None:
        return 0
    first = node.body[0]
    return (first.end_lineno or first.lineno) - first.lineno + 1


def swallows_nothing(module: Module) -> Iterator[str]:
    if module.path in MAY_CATCH_ALL:
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ExceptHandler) and _catches_all(node.type):
            yield f"{module.path}:{node.lineno}: catch the errors that you expect here, by name; let the others pass"
        if isinstance(node, ast.Call) and _name(node.func) == "suppress" and any(map(_catches_all, node.args)):
            yield f"{module.path}:{node.lineno}: suppress the error that you expect here, by name"


def _catches_all(caught: ast.expr | None) -> bool:
    if caught is None:
        return True
    if isinstance(caught, ast.Tuple):
        return any(map(_catches_all, caught.elts))
    return _name(caught) in {"Exception", "BaseException"}


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def never_sleeps(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and _name(node.func) == "sleep" and any(map(_is_a_time, node.args)):
            yield (
                f"{module.path}:{node.lineno}: a test that sleeps is slow and still fails on a slow machine: "
                "pass the time as an argument, or wait for the thing itself with a deadline"
            )


def _is_a_time(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float) and node.value > 0


def prints_nothing(module: Module) -> Iterator[str]:
    if module.path in MAY_PRINT:
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield f"{module.path}:{node.lineno}: print belongs to streamer/cli/output.py: return the text, or log it"


def is_named_by_a_noun_of_the_field(module: Module) -> Iterator[str]:
    for part in module.path.with_suffix("").parts:
        if part in VAGUE_NAMES:
            yield f"{module.path}: '{part}' says nothing: name it after the one concept it holds"


def explains_its_ignores(module: Module) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
        found = _IGNORE.search(token.string) if token.type == tokenize.COMMENT else None
        if found and not (found["code"] and found["reason"]):
            yield f"{module.path}:{token.start[0]}: write it as `# type: ignore[code]  # reason`"


def speaks_the_glossary(synonyms: Mapping[str, str]) -> Rule:
    """A rule that knows which word of the glossary replaces each of `synonyms`, in names of modules and classes."""

    def uses_words_of_the_glossary(module: Module) -> Iterator[str]:
        named = [(1, module.path.stem)]
        named += [(node.lineno, node.name) for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef)]
        for line, name in named:
            for word in map(str.lower, _WORDS.findall(name)):
                if word in synonyms and (module.path, word) not in MAY_SAY:
                    yield f"{module.path}:{line}: {name}: the glossary's word for '{word}' is '{synonyms[word]}'"

    return uses_words_of_the_glossary


def glossary_synonyms(text: str) -> dict[str, str]:
    """Synonym -> word, from the table rows `| word | meaning | not: a, b |` of docs/glossary.md."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 3 and cells[0] != "word" and not cells[0].startswith("-"):
            found |= {synonym.strip(): cells[0] for synonym in cells[2].split(",") if synonym.strip()}
    return found
