"""Importing an algorithm from what its job has kept of it, under the names that it has in the user's folder.

A module keeps its place: `__file__`, tracebacks and the files beside it are the user's own, only the bytes come from
the job. Putting the kept files on the module path under their own names would need no finder, and would show people
paths that they do not know, and break what opens a file beside itself. What was not kept is found as ever.
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import ExecutionLoader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import decode_source, spec_from_file_location
from pathlib import Path
from types import ModuleType

from streamer.plan.assignment import Code


class KeptCode:
    """The files of `code`, whose bytes lie in `folder`; all others are read from where they lie."""

    def __init__(self, code: Code, folder: str) -> None:
        self._digests: Mapping[str, str] = {file.path: file.digest for file in code.files if file.digest}
        self._folder = Path(folder)

    def __contains__(self, path: Path) -> bool:
        return str(path) in self._digests

    def read(self, path: Path) -> bytes:
        """Raises OSError."""
        if path not in self:
            return path.read_bytes()
        content = (self._folder / self._digests[str(path)]).read_bytes()
        text = decode_source(content)
        # what a traceback shows is what runs, also if the user's file has been edited since
        linecache.cache[str(path)] = (len(text), None, text.splitlines(keepends=True), str(path))
        return content

    def spec(self, name: str, path: Path) -> ModuleSpec | None:
        """Of the module `name` that this file is."""
        package = [str(path.parent)] if path.name == "__init__.py" else None
        loader = _Loader(self, path)
        return spec_from_file_location(name, path, loader=loader, submodule_search_locations=package)

    def find_beside(self, folder: Path) -> None:
        """Let modules that lie in this folder be imported from here, where the path of modules would find them."""
        if self._digests:
            at = next((i for i, finder in enumerate(sys.meta_path) if finder is PathFinder), len(sys.meta_path))
            sys.meta_path.insert(at, _Finder(self, folder))


class _Loader(ExecutionLoader):
    def __init__(self, kept: KeptCode, path: Path) -> None:
        self._kept = kept
        self._path = path

    def get_filename(self, fullname: str) -> str:  # noqa: ARG002  # the name of the port
        return str(self._path)

    def get_source(self, fullname: str) -> str:  # noqa: ARG002  # as above
        return decode_source(self._kept.read(self._path))


class _Finder(MetaPathFinder):
    """Beside it stands the folder's own place on the path of modules, for what was not kept."""

    def __init__(self, kept: KeptCode, folder: Path) -> None:
        self._kept = kept
        self._folder = folder

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del target
        name = fullname.rpartition(".")[2]
        for folder in (self._folder,) if path is None else map(Path, path):
            for file in (folder / name / "__init__.py", folder / f"{name}.py"):
                if file in self._kept:
                    return self._kept.spec(fullname, file)
        return None
