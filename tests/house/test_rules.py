"""Each house rule bites on a bad snippet, spares a good one, and holds for the whole project.

The messages are part of the rule: they name what to write instead, and the bad snippets check that too.
"""

from __future__ import annotations

import pytest

from tests.house import rules
from tests.house.source import ROOT, SHIPPED, Module, modules

speaks_the_glossary = rules.speaks_the_glossary(
    rules.glossary_synonyms((ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"))
)

FOR_SHIPPED_CODE: list[rules.Rule] = [
    rules.says_why,
    rules.is_short,
    rules.has_short_functions,
    rules.swallows_nothing,
    rules.prints_nothing,
    rules.is_named_by_a_noun_of_the_field,
    rules.explains_its_ignores,
    speaks_the_glossary,
]
FOR_TESTS: list[rules.Rule] = [
    rules.never_sleeps,
    rules.is_named_by_a_noun_of_the_field,
    rules.explains_its_ignores,
]

LONG_FUNCTION = "def f():\n" + '    """One.\n\n    Two.\n    """\n' + "    x = 1\n" * 60


@pytest.mark.parametrize(
    ("rule", "path", "snippet", "advice"),
    [
        pytest.param(rules.says_why, "a.py", '"""Things."""\n', "two sentences", id="a docstring of one sentence"),
        pytest.param(rules.says_why, "a.py", "x = 1\n", "two sentences", id="no docstring"),
        pytest.param(rules.is_short, "a.py", "x = 1\n" * 401, "split it by noun", id="401 lines"),
        pytest.param(rules.has_short_functions, "a.py", LONG_FUNCTION, "name its parts", id="61 lines of function"),
        pytest.param(
            rules.swallows_nothing, "a.py", "try:\n    f()\nexcept Exception:\n    pass\n", "by name", id="blind except"
        ),
        pytest.param(rules.swallows_nothing, "a.py", "try:\n    f()\nexcept:\n    pass\n", "by name", id="bare except"),
        pytest.param(
            rules.swallows_nothing,
            "a.py",
            "try:\n    f()\nexcept (OSError, BaseException):\n    pass\n",
            "by name",
            id="blind except in a tuple",
        ),
        pytest.param(
            rules.swallows_nothing,
            "a.py",
            "with contextlib.suppress(Exception):\n    f()\n",
            "by name",
            id="blind suppress",
        ),
        pytest.param(rules.never_sleeps, "a.py", "import time\ntime.sleep(0.1)\n", "deadline", id="a literal sleep"),
        pytest.param(rules.never_sleeps, "a.py", "from time import sleep\nsleep(2)\n", "deadline", id="imported sleep"),
        pytest.param(rules.prints_nothing, "a.py", "print('hello')\n", "cli/output.py", id="print"),
        pytest.param(
            rules.is_named_by_a_noun_of_the_field, "streamer/utils.py", "", "one concept", id="a module of utils"
        ),
        pytest.param(
            rules.is_named_by_a_noun_of_the_field, "streamer/common/a.py", "", "one concept", id="a folder of common"
        ),
        pytest.param(
            rules.explains_its_ignores, "a.py", "x = f()  # type: ignore\n", "# reason", id="an ignore without a code"
        ),
        pytest.param(
            rules.explains_its_ignores, "a.py", "x = f()  # type: ignore[misc]\n", "# reason", id="without a reason"
        ),
        pytest.param(speaks_the_glossary, "a.py", "class WorkerPool: ...\n", "'instance'", id="a class of workers"),
        pytest.param(speaks_the_glossary, "streamer/pod.py", "", "'instance'", id="a module of pods"),
        pytest.param(speaks_the_glossary, "a.py", "class JobRun: ...\n", "'job'", id="a class of runs"),
    ],
)
def test_a_rule_bites_on_a_bad_snippet(rule: rules.Rule, path: str, snippet: str, advice: str) -> None:
    found = list(rule(Module.parse(path, snippet)))

    assert len(found) == 1
    assert found[0].startswith(path)
    assert advice in found[0]


@pytest.mark.parametrize(
    ("rule", "path", "snippet"),
    [
        pytest.param(rules.says_why, "a.py", '"""A problem. A rule (why?)."""\n', id="two sentences"),
        pytest.param(rules.is_short, "a.py", "x = 1\n" * 400, id="400 lines"),
        pytest.param(rules.has_short_functions, "a.py", LONG_FUNCTION.replace("    x = 1\n", "", 1), id="60 lines"),
        pytest.param(rules.swallows_nothing, "a.py", "try:\n    f()\nexcept OSError:\n    pass\n", id="a named error"),
        pytest.param(rules.never_sleeps, "a.py", "await asyncio.sleep(0)\n", id="giving way to other tasks"),
        pytest.param(rules.prints_nothing, "streamer/cli/output.py", "print('hello')\n", id="the output module"),
        pytest.param(
            rules.explains_its_ignores, "a.py", "x = f()  # type: ignore[misc]  # f is untyped\n", id="a reason"
        ),
        pytest.param(speaks_the_glossary, "streamer/cli/run.py", "class Instance: ...\n", id="the verb of the command"),
        pytest.param(speaks_the_glossary, "a.py", "class Algorunner: ...\n", id="part of a longer word"),
    ],
)
def test_a_rule_spares_a_good_snippet(rule: rules.Rule, path: str, snippet: str) -> None:
    assert list(rule(Module.parse(path, snippet))) == []


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule.__name__) for rule in FOR_SHIPPED_CODE])
def test_shipped_code_keeps_the_rule(rule: rules.Rule) -> None:
    found = [finding for module in modules(*SHIPPED) for finding in rule(module)]

    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule.__name__) for rule in FOR_TESTS])
def test_tests_keep_the_rule(rule: rules.Rule) -> None:
    found = [finding for module in modules("tests") for finding in rule(module)]

    assert not found, "\n" + "\n".join(found)


def test_every_exception_to_a_rule_is_still_needed() -> None:
    allowed = {*rules.MAY_PRINT, *rules.MAY_CATCH_ALL, *(path for path, _ in rules.MAY_SAY)}

    assert [str(path) for path in sorted(allowed) if not (ROOT / path).is_file()] == []
