"""A room of our own: namespaces of network and mounts, where the machine gives them.

Cutting the links of the machine, or filling its disk, would harm everybody on it. A process that may have namespaces of
its own (root, or a user where user namespaces are allowed) can do both to itself alone, and everything that it has done
is gone when its last process is. Whoever may not is told so, and goes on without.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
from pathlib import Path

from streamer.testing.verify.links import route_by_rules

_CLONE_NEWNS, _CLONE_NEWUSER, _CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
_MS_REC, _MS_PRIVATE = 16384, 1 << 18
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_REQUEST = struct.Struct("16sh14x")


class NoRoomError(OSError):
    """The machine does not let us have namespaces of our own."""


def enter_room() -> None:
    """Move this process, and all that it will start, into namespaces of its own. It must have one thread yet.

    Raises NoRoomError. Some of them may have been entered then: whoever wants to go on does so in a child.
    """
    uid, gid = os.getuid(), os.getgid()
    try:
        _unshare(_CLONE_NEWNET | _CLONE_NEWNS | (0 if uid == 0 else _CLONE_NEWUSER))
        if uid:
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
            Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
        _libc("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
        _loopback_up()
        route_by_rules()
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoRoomError(f"no namespaces: {error}") from error


def mount_memory(folder: Path, size_bytes: int) -> None:
    """A file system of its own size, in memory, at this folder. Raises OSError."""
    _libc("mount", b"verify", os.fsencode(folder), b"tmpfs", 0, f"size={size_bytes}".encode())


def unmount(folder: Path) -> None:
    """Whatever is mounted at this folder goes as soon as nobody uses it. Raises OSError."""
    _libc("umount2", os.fsencode(folder), 2)


def _unshare(flags: int) -> None:
    _libc("unshare", flags)


def _libc(call: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    function = getattr(libc, call, None)
    if function is None:
        raise OSError(f"this system has no {call}")
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        _, flags = _REQUEST.unpack(fcntl.ioctl(any_socket, _SIOCGIFFLAGS, _REQUEST.pack(b"lo", 0)))
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, _REQUEST.pack(b"lo", flags | _IFF_UP))
