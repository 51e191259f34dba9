"""Programs in processes of their own, given as text, which can be killed and limited as a test likes.

A kill between two lines is not enough: `DIE_AT` gives a program a way to die before the n-th call that some of our
modules make into C, so that a test can try all of them, one after the other.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_S = 60.0

TELL = """
import os, signal, sys
from pathlib import Path
from streamer.errors import StreamerError
folder, *arguments = Path(sys.argv[1]), *sys.argv[2:]
def tell(word):
    sys.stdout.write(f"{word}\\n")
    sys.stdout.flush()
"""

DIE_AT = """
class DieAt:
    "Dies before the call number `number` that a module of these makes into C: every place where a kill can strike."
    def __init__(self, number):
        self.left = number
    def __call__(self, frame, event, argument):
        if event == "c_call" and any(part in frame.f_code.co_filename for part in WATCHED):
            self.left -= 1
            if not self.left:
                os.kill(os.getpid(), signal.SIGKILL)
def dies(number, action):
    pid = os.fork()
    if pid == 0:
        sys.setprofile(DieAt(number))
        action()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
"""


def start(text: str, folder: Path, *arguments: object) -> subprocess.Popen[str]:
    """The program gets the folder and the arguments as texts; what it tells comes line by line."""
    return subprocess.Popen(
        [sys.executable, "-c", TELL + text, str(folder), *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    """What it told and was not read yet; it must have ended in order."""
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    return output
