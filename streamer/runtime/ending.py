"""How an instance comes to its end: input ended, the work's goodbye, everything settled, END known to all consumers.

All parents have said that all they sent is settled before they end, so what still comes afterwards is a repeat. An end
goes from stage to stage and never back: whoever is about to end takes no new input.

Who leaves because its node was scaled down says no END: it would be taken for that of the node where nobody of it is
left, and it is no end where others will come. The controller strikes it from the list of peers once it is gone. Nor
does who leaves for its next life: to its consumers it is a while without messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.plan.assignment import Role
from streamer.runtime.stage import Stage

if TYPE_CHECKING:
    # It is what ends.
    from streamer.runtime.instance import Instance


def advance_end(instance: Instance, now: float) -> None:
    """From stage to stage, as far as it goes."""
    i = instance
    with i.lock:  # whoever has said that it knows an input must not come to its end before that has ended
        if i.stage is Stage.RUNNING and _input_ended(i):
            i.stage = Stage.STOPPING
    if i.stage is Stage.STOPPING and i.work.finish(now):
        with i.lock:
            i.later.advance(all_of_them=True)
            i.roots.commit()
            i.roots.end()
            i.lock.notify_all()
            i.send(now, drained=True)
        i.stage = Stage.ENDING
    if i.stage is Stage.ENDING:
        with i.lock:
            while (repeat := i.inbox.next()) is not None:
                repeat.settle(1)
            if i.inbox.unsettled == 0 and i.roots.empty and i.outbox.idle and (i.inbox.leaving or i.outbox.end()):
                i.send(now, drained=True)
                i.stage = Stage.ENDED


def _input_ended(i: Instance) -> bool:
    if i.inbox.leaving:
        return i.inbox.left()
    if not i.wiring.inputs:
        begins = i.wiring.outputs or i.assignment.role in (Role.SOURCE, Role.GATEWAY)
        return i.work.exhausted and i.inbox.unsettled == 0 and (bool(begins) or i.drain_asked)
    if i.inbox.cyclic and not i.end_asked:
        return False
    waits = i.inbox.parked or i.failures.retries.waiting
    return i.inbox.drained and not waits and i.inbox.ended(inside=False)
