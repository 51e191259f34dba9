"""The code of a job, kept as it was when the job was given it.

An instance that starts again must run what the others run, and an update that is taken back needs the code that was
there before, while the user's files go on changing. So a job keeps the bytes of the files of which its algorithms
consist, under their digests, in its folder: those that the check before its start has seen imported from the folder of
an algorithm (`streamer.runtime.check`). All generations lie side by side; a file that has not changed is there once.
Copying whole folders would be simpler, and would take data, models and virtual environments along.

What is kept comes into force with a start, an update or a resumption; until then an edit changes nothing. On a cluster
the bytes travel through the control log first (`cluster.code`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from streamer.errors import HomeError
from streamer.plan.assignment import Code, KeptFile
from streamer.plan.compile import Plan

_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class ReadCode:
    """A plan that names the code of its algorithms by digests, and the `contents` of its files by digest.

    A file that is gone by now stays as it was kept before, and has no content here.
    """

    plan: Plan
    contents: Mapping[str, bytes]

    @property
    def codes(self) -> Mapping[str, Code]:
        """By node."""
        return {name: node.code for name, node in self.plan.nodes.items() if node.code is not None}


def digest_of(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).hexdigest()


def read_code(plan: Plan) -> ReadCode:
    """The code of a plan as it is now."""
    contents: dict[str, bytes] = {}
    known: dict[KeptFile, KeptFile] = {}
    for node in plan.nodes.values():
        for file in () if node.code is None else node.code.files:
            known[file] = known.get(file) or _read(file, contents)
    nodes = {
        name: node
        if node.code is None
        else replace(node, code=replace(node.code, files=tuple(known[file] for file in node.code.files)))
        for name, node in plan.nodes.items()
    }
    return ReadCode(replace(plan, nodes=nodes), contents)


def write_code(contents: Mapping[str, bytes], folder: Path) -> None:
    """Keep these files in this folder, by digest. Raises HomeError."""
    for digest, content in contents.items():
        path = folder / digest
        try:
            if not path.exists():
                folder.mkdir(mode=0o700, exist_ok=True)
                draft = path.with_name(f"{digest}.{os.getpid()}")
                draft.write_bytes(content)
                draft.replace(path)
        except OSError as error:
            raise HomeError(f"the code of the job cannot be kept in {folder}: {error}") from error


def keep_code(plan: Plan, folder: Path) -> Plan:
    """The plan whose code is kept in this folder, as it is now. Raises HomeError."""
    found = read_code(plan)
    write_code(found.contents, folder)
    return found.plan


def _read(file: KeptFile, contents: dict[str, bytes]) -> KeptFile:
    try:
        content = Path(file.path).read_bytes()
    except OSError:
        return file
    digest = digest_of(content)
    contents[digest] = content
    return KeptFile(file.path, digest)
