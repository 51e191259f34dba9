"""What an instance prints into a file on a full disk is lost, and nothing else is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import sys
from streamer.runtime.printing import print_lossily
print_lossily()
print("one", flush=True)
sys.stderr.write("two\\n")
print("\\udce4 three")
sys.stdout.flush()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is no /dev/full")
def test_a_full_disk_is_no_error() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([sys.executable, "-c", CODE], stdout=full, stderr=subprocess.PIPE, check=False)

    assert (done.returncode, done.stderr) == (0, b"two\n")


def test_with_room_all_is_there_line_by_line() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, b"one\n\\udce4 three\n", b"two\n")
