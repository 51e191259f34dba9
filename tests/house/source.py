"""The project's own files, as the house rules look at them.

Files are walked and not asked of git, so that the rules hold in an unpacked archive too and judge a file before it is
committed. Folders that tools make are left out by name.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ("streamer", "autoscaler", "wrappers", "benchmarks", "examples")
TEXT_SUFFIXES = frozenset({".py", ".md", ".toml", ".yaml", ".yml", ".json", ".txt", ".cfg", ".sh", ".js", ".java", ""})


@dataclass(frozen=True, slots=True)
class Module:
    """A Python file: its path from the project's root, its text and its tree."""

    path: PurePosixPath
    text: str
    tree: ast.Module

    @classmethod
    def parse(cls, path: str, text: str) -> Module:
        return cls(PurePosixPath(path), text, ast.parse(text))


def _made_by_a_tool(name: str) -> bool:
    return name in {"build", "dist", "__pycache__"} or name.endswith("egg-info") or (name[0] == "." and name != ".ci")


def files(folder: Path = ROOT) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        if _made_by_a_tool(entry.name) and entry.name != ".gitignore":
            continue
        if entry.is_dir():
            yield from files(entry)
        else:
            yield entry


def texts() -> Iterator[tuple[PurePosixPath, str]]:
    for path in files():
        if path.suffix in TEXT_SUFFIXES:
            yield PurePosixPath(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


def modules(*folders: str) -> Iterator[Module]:
    for folder in folders:
        if (ROOT / folder).is_dir():
            for path in files(ROOT / folder):
                if path.suffix == ".py":
                    yield Module.parse(str(PurePosixPath(path.relative_to(ROOT))), path.read_text(encoding="utf-8"))
