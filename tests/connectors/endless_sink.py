"""Writes large batches to a file sink until it is killed, and tells its parent about each that a checkpoint holds."""

from __future__ import annotations

import sys
from pathlib import Path

from streamer.connectors.file import FileSink

BATCH = 64

if __name__ == "__main__":
    path, state, restarted = sys.argv[1], Path(sys.argv[2]), sys.argv[3] == "restarted"
    sink = FileSink({"path": path}, state)
    sink.open(restarted)
    data = "x" * 20_000
    while True:
        sink.write([{"n": n, "data": data} for n in range(BATCH)])
        sink.checkpoint(b"")
        sys.stdout.write(".")
        sys.stdout.flush()
