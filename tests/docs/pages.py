"""The pages of the project and the fenced snippets in them.

A snippet whose first line is a comment with a file's name (`# numbers.yaml`) is that file, so a page can show one
and then the command that runs it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.house.source import ROOT, files

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w+)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"^# (?P<name>[\w./-]+\.\w+)$")


@dataclass(frozen=True, slots=True)
class Snippet:
    """One fenced block of a page; `line` is where its text begins."""

    page: str
    line: int
    language: str
    text: str

    @property
    def file(self) -> str | None:
        found = _FILE.match(self.text.partition("\n")[0])
        return found["name"] if found else None

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    return [path for path in files() if path.suffix == ".md"]


def snippets(page: Path, *languages: str) -> list[Snippet]:
    text = page.read_text(encoding="utf-8")
    return [
        Snippet(
            str(page.relative_to(ROOT)), text.count("\n", 0, found.start("text")) + 1, found["language"], found["text"]
        )
        for found in _FENCE.finditer(text)
        if found["language"] in languages
    ]
