"""Disks that are full for a while: whoever writes gets an error, and can go on when it is over."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

MEMORY = """
    import sys
    import tempfile
    from pathlib import Path
    from streamer.testing.verify.disks import MemoryDisk
    from streamer.testing.verify.job import Process
    from streamer.testing.verify.room import NoRoomError, enter_room

    try:
        enter_room()
    except NoRoomError as error:
        sys.exit(f"skip: {error}")
    nobody = Process("a-0", 1, 0, 0)
    with tempfile.TemporaryDirectory() as folder:
        disk = MemoryDisk(Path(folder) / "state")
        file = Path(folder) / "state" / "file"
        file.write_bytes(b"before")
        disk.fill(nobody)
        try:
            file.write_bytes(bytes(1 << 20))
        except OSError as error:
            print(error.strerror)
        disk.free(nobody)
        print(file.write_bytes(bytes(1 << 20)))
        disk.close()
        print(len(list((Path(folder) / "state").iterdir())))
"""

FORBIDDEN = """
    import os
    import tempfile
    from streamer.platform.adopted import started_at
    from streamer.testing.verify.disks import ForbiddenGrowth
    from streamer.testing.verify.job import Process

    this = Process("a-0", 1, os.getpid(), started_at(os.getpid()))
    disk = ForbiddenGrowth()
    with tempfile.TemporaryFile(buffering=0) as file:
        disk.fill(this)
        try:
            file.write(b"more")
        except OSError as error:
            print(error.strerror)
        disk.free(this)
        print(file.write(b"more"))
"""


def printed_by(program: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60, check=False
    )
    if done.stderr.startswith("skip: "):
        pytest.skip(done.stderr)  # a matter of the machine's rights; the command then forbids growth
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_in_a_room_of_our_own_a_folder_is_a_disk_that_can_be_filled_and_freed() -> None:
    assert printed_by(MEMORY) == ["No space left on device", str(1 << 20), "0"]


def test_elsewhere_a_process_can_make_no_file_longer_until_it_is_over() -> None:
    assert printed_by(FORBIDDEN) == ["File too large", "4"]
