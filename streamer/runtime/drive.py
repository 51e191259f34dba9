"""Driving an instance: step after step, with a wait between, until its end.

As long as handlers are plain functions there is nothing to drive but the instance. Once one is `async`, the loop of
asyncio takes over for good and the instance becomes one of its tasks: between two steps, the calls go on.
"""

from __future__ import annotations

import time

from streamer import clock
from streamer.runtime.algorithm_work import AlgorithmWork
from streamer.runtime.gathering import Gathering
from streamer.runtime.instance import Instance
from streamer.runtime.stage import Stage
from streamer.transport.base import Watched


def drive(instance: Instance, wire: Watched) -> None:
    """Step to the end."""
    gathering = Gathering()
    while instance.stage is not Stage.ENDED:
        work = instance.work
        if isinstance(work, AlgorithmWork) and work.overlap is not None:
            _overlapping(instance, work, wire)
        else:
            _step_and_wait(instance, gathering)


def _step_and_wait(instance: Instance, gathering: Gathering) -> None:
    began, taken = clock.now(), instance.taken
    timeout_s = instance.step()
    if timeout_s > 0.0:
        step_s = clock.now() - began
        if pause_s := gathering.pause_s(step_s, instance.taken - taken):
            time.sleep(pause_s)
        waiting_since = clock.now()
        instance.wait(timeout_s)
        gathering.waited(step_s, clock.now() - waiting_since)


def _overlapping(instance: Instance, work: AlgorithmWork, wire: Watched) -> None:
    import asyncio  # most instances never need it, and every one of them would wait for it at its start

    async def step_by_step() -> None:
        loop = asyncio.get_running_loop()
        wake = asyncio.Event()
        assert work.overlap is not None
        work.overlap.begin(loop, wake.set)
        watched: list[int] = []
        changes = -1
        while instance.stage is not Stage.ENDED:
            timeout_s = instance.step()
            if timeout_s <= 0.0 or instance.woken or wire.ready():
                await asyncio.sleep(0)
                continue
            if wire.changes != changes:
                changes = wire.changes
                for gone in watched:
                    loop.remove_reader(gone)
                watched = list(wire.descriptors())
                for descriptor in watched:
                    loop.add_reader(descriptor, wake.set)
            timer = loop.call_later(timeout_s, wake.set)
            await wake.wait()
            timer.cancel()
            wake.clear()

    loop = asyncio.new_event_loop()  # and not asyncio.run, which would take Ctrl-C for itself
    asyncio.set_event_loop(loop)
    loop.run_until_complete(step_by_step())
