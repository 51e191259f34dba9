"""`streamer controller`: a worker that leads the jobs of a cluster, beside others that take over when it dies.

It keeps nothing on this machine and nothing in its memory that the log does not have, so it may be killed at any time
and started anywhere. What it says goes to standard error, a line for each thing that people should know.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import tempfile
from pathlib import Path

from streamer.cli.cluster_jobs import kafka_settings, patient_log
from streamer.cli.exits import OK
from streamer.cli.interrupts import is_orphaned
from streamer.cli.output import tell
from streamer.cluster_limits import (
    AGENT_BEAT_S,
    CONTROLLER_END_S,
)
from streamer.control.cluster.faust_app import Controller


def controller(bootstrap: str, name: str, *, attached: int) -> int:
    """Lead jobs until SIGTERM or SIGINT. Raises OptionError, StateError, or LogError if no broker answers."""
    folder = Path(tempfile.mkdtemp(prefix="streamer-controller-"))
    try:
        return asyncio.run(_serve(bootstrap, name or f"{socket.gethostname()}-{os.getpid()}", folder, attached))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _serve(bootstrap: str, name: str, folder: Path, attached: int) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    settings = kafka_settings(bootstrap)
    log = await asyncio.to_thread(patient_log, settings, tell)
    worker = Controller(settings, log, name, folder, tell)
    watch = asyncio.create_task(_watch(stop, attached)) if attached else None
    serving = asyncio.create_task(worker.serve(stop, lambda: tell(f"controller {name} is ready at {bootstrap}")))
    await asyncio.wait({serving, asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED)
    ended, _ = await asyncio.wait({serving}, timeout=CONTROLLER_END_S)
    if not ended:  # a client of Kafka's waits for brokers that are gone, and another controller needs no goodbye
        tell(f"no broker has answered for {CONTROLLER_END_S:g} s: this controller ends without a word to them")
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(OK)
    await serving
    if watch is not None:
        watch.cancel()
    return OK


async def _watch(stop: asyncio.Event, parent: int) -> None:
    while not is_orphaned(parent):
        await asyncio.sleep(AGENT_BEAT_S)
    stop.set()
