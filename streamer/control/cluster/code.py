"""The code of a job on its way from the command that has read it to the machines that run it.

The user's files lie where the command was given, and instances run elsewhere. So the command puts each file into the
control log, under the job and its digest (`JOB/DIGEST`), before it asks for anything that names it; an agent follows
that topic as it follows its orders, and writes what an instance needs into the job's folder before it starts it. The
key is the content: what comes twice is the same, and nobody has to say which version a file belongs to. Bytes that are
not those of their digest are left out. Orders are in other topics, and may be read first: then the code is waited for.

Having each agent read a job's code when it needs it would save memory, and make its loop wait for brokers. As it is, an
agent holds the code of all jobs of the cluster that have not ended for good: some kilobytes for each of their versions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from streamer.cluster_limits import CODE_BYTES_MAX, CODE_FILES_MAX
from streamer.control.kept_code import ReadCode, digest_of, write_code
from streamer.errors import CodeError, StateError
from streamer.limits import MIB
from streamer.log.base import Entry, Record
from streamer.log.topics import Topic
from streamer.plan.assignment import Code


def code_entries(job: str, code: ReadCode) -> list[Entry]:
    """To be appended before the plan is. Raises CodeError if it is too much."""
    size = sum(map(len, code.contents.values()))
    if size > CODE_BYTES_MAX or len(code.contents) > CODE_FILES_MAX:
        largest = max((file for one in code.codes.values() for file in one.files), key=lambda f: _size(code, f.digest))
        raise CodeError(
            f"the algorithms of pipeline {code.plan.pipeline} consist of {len(code.contents)} Python files of {size} "
            f"bytes, the largest of them {largest.path}; what travels to the machines of a cluster is at most "
            f"{CODE_FILES_MAX} files, of {CODE_BYTES_MAX // MIB} MiB in all"
        )
    return [Entry(Topic.CODE, f"{job}/{digest}", content) for digest, content in code.contents.items()]


def _size(code: ReadCode, digest: str) -> int:
    return len(code.contents.get(digest, b""))


class Arrived:
    """The code of jobs, as far as it has come to this machine."""

    def __init__(self) -> None:
        self._files: defaultdict[str, dict[str, bytes]] = defaultdict(dict)

    def take(self, record: Record) -> None:
        """Raises StateError for bytes that are not what they are said to be."""
        digest = record.key.partition("/")[2]
        if record.value is None:
            self._files[record.scope].pop(digest, None)
            if not self._files[record.scope]:
                del self._files[record.scope]
        elif digest_of(record.value) == digest:
            self._files[record.scope][digest] = record.value
        else:
            raise StateError(
                f"the record {record.offset} of {record.key} in {record.topic} of the control log is not the code that "
                "it is said to be",
                remedy="It is left out. Give the job its code again: streamer update JOB FILE. See who writes there.",
            )

    def put(self, job: str, code: Code, folder: Path) -> tuple[str, ...]:
        """See that the files of `code` are in this folder; the paths of those that have not come. Raises HomeError."""
        lacking: list[str] = []
        for file in code.files:
            if not file.digest or _is_whole(folder / file.digest, file.digest):
                continue  # without a digest it is read from where it lies
            content = self._files.get(job, {}).get(file.digest)
            if content is None:
                lacking.append(file.path)
            else:
                write_code({file.digest: content}, folder)
        return tuple(lacking)

    def removal(self, job: str) -> Sequence[Entry]:
        """What deletes the code of a job for everybody: once it has ended, and cannot go on."""
        return [Entry(Topic.CODE, f"{job}/{digest}", None) for digest in self._files.get(job, ())]


def _is_whole(path: Path, digest: str) -> bool:
    """A file that a loss of power has left torn is none, and is removed to be written again."""
    try:
        is_whole = digest_of(path.read_bytes()) == digest
    except OSError:
        return False
    if not is_whole:
        path.unlink(missing_ok=True)
    return is_whole
