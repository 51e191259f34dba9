"""The files that one name has led to, one after the other, while a log was rotated.

A log is rotated by renaming it (`access.log` becomes `access.log.1`) or by copying and emptying it, so its name says
nothing about what was read. A file is known here by device and inode together with its first bytes: an inode alone is
given to a new file as soon as the old one is deleted. The chain of files, with the number of each file's first record,
stands in the instance's folder and is written before the first record of a file is given out, so that after a kill each
mark leads to its file, whatever that is called by then. What was rotated in between, unseen, is found in the folder by
its name and the time of its last change. Watching the folder through the system's notifications would save neither: a
source that was down for an hour has to find its place all the same.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from streamer import limits
from streamer.errors import ConnectorError, StateError

_COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".Z", ".zip")


@dataclass(frozen=True, slots=True)
class Link:
    """A file of the chain; its first record has number `position`. `head` are its first bytes, as far as known.

    With `lost`, it cannot be read (any more): that text stands for each of `records` records from `position` on.
    """

    position: int
    device: int = 0
    inode: int = 0
    head: str = ""
    changed_ns: int = 0
    lost: str = ""
    records: int = 0


@dataclass(frozen=True, slots=True)
class Opened:
    """A file that is open: where it was found, and what it is."""

    fd: int
    path: Path
    status: os.stat_result

    @property
    def identity(self) -> tuple[int, int]:
        return self.status.st_dev, self.status.st_ino


class Chain:
    """The links of one source, kept in a file. `path` is the name that is followed."""

    def __init__(self, path: Path, kept_at: Path) -> None:
        self.path = path
        self._kept_at = kept_at
        self.partition = ""
        self.links: list[Link] = []
        self._before: set[tuple[int, int, int]] = set()
        """What had been rotated away before this source began: device, inode, last change."""

    @property
    def kept(self) -> bool:
        """Whether an earlier life has left a chain."""
        return self._kept_at.exists()

    def begin(self) -> None:
        """Go on with the chain of an earlier life, or begin one with the file that is there."""
        try:
            kept = json.loads(self._kept_at.read_bytes())
            self.partition = kept["partition"]
            self.links = [Link(**link) for link in kept["links"]]
            self._before = {(device, inode, changed) for device, inode, changed in kept["before"]}
        except FileNotFoundError:
            self._begin_anew()
        except (ValueError, KeyError, TypeError) as error:
            raise StateError(f"{self._kept_at} does not tell which files were followed: {error}") from error

    def _begin_anew(self) -> None:
        opened = _open(self.path)
        if opened is None:
            raise ConnectorError(f"source file {self.path} does not exist, or is not a regular file")
        os.close(opened.fd)
        device, inode = opened.identity
        self.partition = f"{self.path}:{device}:{inode}"
        self._before = {_triple(found) for _, found in self._rotated()}
        self.links = [Link(0, device, inode)]
        self._save()

    def index(self, position: int) -> int:
        """The link that holds record `position`."""
        return max(index for index, link in enumerate(self.links) if link.position <= position)

    def end(self, index: int) -> int | None:
        """The number of the first record behind this link; None while it is the last."""
        link = self.links[index]
        if link.lost:
            return link.position + link.records
        return self.links[index + 1].position if index + 1 < len(self.links) else None

    def change(self, index: int, link: Link) -> None:
        self.links[index] = link
        self._save()

    def append(self, link: Link) -> int:
        """Its index. Links that no mark can lead to any more are forgotten."""
        self.links.append(link)
        out_of_reach = link.position - limits.ROOT_SPAN_MAX - limits.FRAME_MESSAGES_MAX
        while self.links[1].position < out_of_reach:
            del self.links[0]
        self._save()
        return len(self.links) - 1

    def locate(self, link: Link, offset: int) -> Opened | None:
        """The file of a link, of at least `offset` bytes, by whatever name; or a copy of it."""
        same = (entry for entry in self._folder() if _identity(entry.stat()) == (link.device, link.inode))
        for path in (self.path, *(Path(entry.path) for entry in same)):
            opened = _open(path)
            if opened is not None:
                is_it = opened.identity == (link.device, link.inode) and opened.status.st_size >= offset
                if is_it and head_of(opened.fd).startswith(link.head):
                    return opened
                os.close(opened.fd)
        return self.copy_of(link, offset)

    def copy_of(self, link: Link, offset: int) -> Opened | None:
        """A copy that was made before the file was emptied."""
        for entry in self._folder():
            named_after = entry.name.startswith(self.path.name) and not entry.name.endswith(_COMPRESSED)
            opened = _open(Path(entry.path)) if named_after and link.head else None
            if opened is not None:
                if opened.status.st_size >= offset and head_of(opened.fd) == link.head:
                    return opened
                os.close(opened.fd)
        return None

    def successor(self, changed_ns: int, current: tuple[int, int] | None) -> Opened | None:
        """What is to be read next: the first of the files that were rotated since, else the one that has the name now.

        `changed_ns` is when the last one was changed; `current` is it, if it still lies there and cannot be the next.
        """
        for _, path in sorted(
            (found.st_mtime_ns, path) for path, found in self._rotated() if self._is_new(path, found, changed_ns)
        ):
            opened = _open(path)
            if opened is not None:
                return opened
        opened = _open(self.path)
        if opened is not None and (opened.identity == current or not opened.status.st_size):
            os.close(opened.fd)
            return None
        return opened

    def named_now(self) -> os.stat_result | None:
        """What has the name now, if it is a regular file."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found if stat.S_ISREG(found.st_mode) else None

    def _is_new(self, path: Path, found: os.stat_result, changed_ns: int) -> bool:
        if found.st_mtime_ns < changed_ns or not found.st_size or _triple(found) in self._before:
            return False
        opened = _open(path)
        if opened is None:
            return False
        try:
            head = head_of(opened.fd)
        finally:
            os.close(opened.fd)
        return not any(
            head == link.head or ((link.device, link.inode) == _identity(found) and head.startswith(link.head))
            for link in self.links
        )

    def _rotated(self) -> Iterator[tuple[Path, os.stat_result]]:
        """Files that are named as rotation names them, and what they are."""
        name = re.compile(re.escape(self.path.name) + r"[-._]\d.*")
        for entry in self._folder():
            if name.fullmatch(entry.name):
                yield Path(entry.path), entry.stat()

    def _folder(self) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(self.path.parent) as entries:
                found = [entry for entry in entries if entry.is_file(follow_symlinks=False)]
        except OSError as error:
            raise ConnectorError(f"the folder {self.path.parent} cannot be read: {error.strerror}") from error
        yield from found

    def _save(self) -> None:
        kept = {
            "partition": self.partition,
            "before": sorted(self._before),
            "links": [asdict(link) for link in self.links],
        }
        new = self._kept_at.with_suffix(".new")
        new.write_text(json.dumps(kept))
        new.replace(self._kept_at)


def is_compressed(path: Path) -> bool:
    return path.name.endswith(_COMPRESSED)


def head_of(fd: int) -> str:
    """The first bytes of a file, one character each."""
    return os.pread(fd, limits.FOLLOWED_HEAD_BYTES, 0).decode("latin-1")


def _open(path: Path) -> Opened | None:
    """None if there is no regular file of this name. Raises ConnectorError if it is forbidden."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except PermissionError as error:
        raise ConnectorError(
            f"followed file {path} cannot be read: permission denied", remedy=f"Allow it: chmod u+r {path}."
        ) from error
    except OSError:
        return None
    found = os.fstat(fd)
    if stat.S_ISREG(found.st_mode):
        return Opened(fd, path, found)
    os.close(fd)
    return None


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _triple(found: os.stat_result) -> tuple[int, int, int]:
    return (*_identity(found), found.st_mtime_ns)
