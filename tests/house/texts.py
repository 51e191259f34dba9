"""The house rules for any text file: links that lead somewhere, and nothing that only the author's machine has.

The forbidden words are put together from pieces, because this file is read by its own rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_UNFINISHED = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")) + r")\b(?!\s*\(#\d+\))")
_MACHINE = re.compile(r"(?<![\w./-])/(" + "|".join(("work", "root", "farm", r"home/\w+", "Users")) + r")/")
_OUTSIDE = re.compile(r"\.\./(" + "|".join(("sha" + "red", r"\.lib" + "rary")) + r")\b")
_REGISTRY = re.compile(r"\b(" + "|".join(("py" + r"pi\.org", "python" + r"hosted\.org", "npm" + r"js\.org")) + r")\b")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+\s+(?P<title>.+?)\s*$", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```\s*$", re.MULTILINE | re.DOTALL)
LOCK_FILES = frozenset({"uv.lock", "poetry.lock", "Pipfile.lock", "package-lock.json", "yarn.lock", "pnpm-lock.yaml"})


def is_finished(path: PurePosixPath, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), start=1):
        if found := _UNFINISHED.search(line):
            yield f"{path}:{number}: {found[1]} needs an issue's number, as in '{found[1]} (#12)', or to be done now"


def holds_on_any_machine(path: PurePosixPath, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), start=1):
        if found := _MACHINE.search(line):
            yield f"{path}:{number}: {found[0]} exists on one machine only: use a path relative to the project"
        if found := _OUTSIDE.search(line):
            yield f"{path}:{number}: {found[0]} is not part of the project: say it here, or link to docs/"
        if found := _REGISTRY.search(line):
            yield f"{path}:{number}: {found[0]}: name packages, not addresses: pip knows where they come from"


def is_no_lock_file(path: PurePosixPath, text: str) -> Iterator[str]:
    if path.name in LOCK_FILES:
        yield f"{path}: {len(text)} characters that record addresses of one machine: keep ranges in pyproject.toml"


def links_lead_somewhere(root: Path, path: PurePosixPath, text: str) -> Iterator[str]:
    prose = _FENCE.sub("", text)
    for found in _LINK.finditer(prose):
        target, _, anchor = found["target"].partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        there = root / path.parent / target if target else root / path
        if not there.exists():
            yield f"{path}: the link to {found['target']} leads nowhere: correct it, or write that page"
        elif anchor and there.suffix == ".md" and anchor not in _anchors(there.read_text(encoding="utf-8")):
            yield f"{path}: {found['target']} names no heading of that page"


def _anchors(text: str) -> set[str]:
    titles = (found["title"].lower() for found in _HEADING.finditer(_FENCE.sub("", text)))
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}
