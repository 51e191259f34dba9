"""What becomes of a chunk on its way into an outgoing edge: most go into its queue, and the rest is told of.

A message that has no key cannot go to a partitioned node, one that has gone round too often stays out of its cycle, an
edge that is full drops by its policy, and a message that was given up is given up again when it is made again. Each of
them is counted as sent before it is counted as anything else, and a dead letter is durable before its parent hears.
"""

from __future__ import annotations

from collections.abc import Sequence

from streamer.plan.assignment import Overload
from streamer.protocol.chunk import Chunk
from streamer.runtime.letters import Letters
from streamer.runtime.outlets import Outlet


def admit(outlet: Outlet, chunk: Chunk, letters: Letters) -> None:
    """Take a chunk whose parent waits for it already."""
    full = outlet.policy.overload is not Overload.BLOCK and outlet.full
    if outlet.partitioned is not None:
        keyed, keyless = outlet.partitioned.keyed(chunk)
        for why, part in keyless:
            outlet.partitioned.refuse(part)
            _give_up(outlet, part, letters, "no key", why)
        if keyed is None:
            return
        chunk = keyed
    outlet.edge.append(chunk)
    if outlet.policy.inside and (fault := outlet.loop_fault(chunk)) is not None:
        outlet.edge.withdraw(chunk)
        _give_up(outlet, chunk, letters, *fault)
        return
    if full:
        outlet.overflow(chunk)
    bury(outlet, outlet.edge.take_repeat(), letters)


def bury(outlet: Outlet, poison: Sequence[Chunk], letters: Letters) -> bool:
    """Give up what was in hand at too many deaths; False if there is nothing."""
    if poison:
        letters.crashed(outlet.edge, poison)
        for chunk in poison:
            outlet.edge.bury(chunk)
    return bool(poison)


def _give_up(outlet: Outlet, chunk: Chunk, letters: Letters, reason: str, error: str) -> None:
    letters.undelivered(outlet.edge, chunk, reason, error)
    outlet.edge.bury(chunk)
