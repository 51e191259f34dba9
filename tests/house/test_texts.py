"""What we write holds for a reader who has the project and nothing else.

Documents, configuration and code are all read: a path of the author's machine is as wrong in a test as in the README.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import pytest

import streamer
from tests.house import texts
from tests.house.source import ROOT
from tests.house.source import texts as all_texts

TextRule = Callable[[PurePosixPath, str], Iterator[str]]
RULES: list[TextRule] = [texts.is_finished, texts.holds_on_any_machine, texts.is_no_lock_file]


@pytest.mark.parametrize(
    ("rule", "path", "text", "advice"),
    [
        pytest.param(texts.is_finished, "a.py", "# TO" + "DO later", "an issue's number", id="unfinished"),
        pytest.param(texts.holds_on_any_machine, "a.md", "see /ro" + "ot/notes", "relative", id="a path of a machine"),
        pytest.param(texts.holds_on_any_machine, "a.md", "see ../sha" + "red/x.md", "docs/", id="a file outside"),
        pytest.param(
            texts.holds_on_any_machine, "a.cfg", "index = py" + "pi.org", "name packages", id="a registry's address"
        ),
        pytest.param(texts.is_no_lock_file, "uv.lock", "", "pyproject.toml", id="a lock file"),
    ],
)
def test_a_rule_bites_on_a_bad_text(rule: TextRule, path: str, text: str, advice: str) -> None:
    found = list(rule(PurePosixPath(path), text))

    assert len(found) == 1
    assert advice in found[0]


def test_an_issue_number_makes_an_unfinished_line_acceptable() -> None:
    assert list(texts.is_finished(PurePosixPath("a.py"), "# TO" + "DO (#12): later")) == []


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule.__name__) for rule in RULES])
def test_every_text_keeps_the_rule(rule: TextRule) -> None:
    found = [finding for path, text in all_texts() for finding in rule(path, text)]

    assert not found, "\n" + "\n".join(found)


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("# A title: here\n", encoding="utf-8")
    text = "[x](b.md) [y](b.md#a-title-here) [z](b.md#elsewhere) [w](c.md) [v](https://example.org)"

    found = list(texts.links_lead_somewhere(tmp_path, PurePosixPath("a.md"), text))

    assert [finding.split(": ", 1)[1] for finding in found] == [
        "b.md#elsewhere names no heading of that page",
        "the link to c.md leads nowhere: correct it, or write that page",
    ]


def test_every_link_of_the_documents_leads_somewhere() -> None:
    pages = [(path, text) for path, text in all_texts() if path.suffix == ".md"]

    found = [finding for path, text in pages for finding in texts.links_lead_somewhere(ROOT, path, text)]

    assert pages
    assert not found, "\n" + "\n".join(found)


def test_the_public_names_are_the_documented_ones() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text.split("\n## What is promised\n", 1)[1].split("\n## ", 1)[0]
    documented = re.findall(r"^- `(\w+)`", section, re.MULTILINE)

    assert sorted(documented) == sorted(streamer.__all__)
    assert all(hasattr(streamer, name) for name in streamer.__all__)


def test_the_changelog_speaks_of_the_version_at_hand() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "streamer.__version__"}
    assert re.search(rf"^## \[({re.escape(streamer.__version__)}|Unreleased)\]", changes, re.MULTILINE)
