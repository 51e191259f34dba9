"""`make bench`: every benchmark after the other, each in a process of its own, as its own command would run it.

A benchmark that fails does not keep the others from being taken, but makes the whole fail. How long each has taken is
told, and all together: on two cores that nobody else uses it should stay below 20 minutes.
"""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.record import BENCHMARKS, ROOT
from streamer.cli.output import tell


def main() -> int:
    failed = []
    began_s = time.monotonic()
    for name in BENCHMARKS:
        tell(f"benchmarks.{name}")
        one_began_s = time.monotonic()
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=ROOT, check=False).returncode:
            failed.append(name)
        tell(f"benchmarks.{name} took {time.monotonic() - one_began_s:.0f} s")
    tell(f"all took {(time.monotonic() - began_s) / 60:.1f} minutes")
    for name in failed:
        tell(f"benchmarks.{name} failed, see above")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
