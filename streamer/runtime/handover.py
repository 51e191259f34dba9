"""Key groups change hands: how an instance of a partitioned node gives up what it owns, and takes what it is given.

Whoever owns a group handles its messages and keeps its state, and there must be one of them at any time. So a change is
told in two steps. First all instances are told of owners who are nobody: each ends its sessions at a point where
nothing is in hand (*pause*), and says so. When all have, they and those who send to them are told who owns what now,
and open sessions by it; a producer takes none by another epoch. Moving groups one by one would keep the others at work,
and would need a second order of messages beside that of the queues; a pause is short.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from streamer.errors import NoKeyError
from streamer.limits import RELEASE_SETTLE_S
from streamer.plan.assignment import Ownership, Peer, Peers, index_of
from streamer.protocol.codec import UNPACK_ERRORS, unpack_one
from streamer.protocol.input_frame import unsettled
from streamer.protocol.keys import KeyPath, groups_of

if TYPE_CHECKING:
    # It has one of these, and is what is paused.
    from streamer.runtime.checkpoints import Checkpoints
    from streamer.runtime.instance import Instance


class Handover:
    """Of one instance. `owned` is by what it goes, `asked` what it was told since, and will go by once it has paused.

    `keys` finds the key groups of messages; None where the node is not partitioned.
    """

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        path = instance.assignment.partition_by
        self.keys = KeyPath(path) if path else None
        self.owned = Ownership(0, 0)
        self.asked: Ownership | None = None
        self._parents: Sequence[Peer] = ()
        self._deadline: float | None = None
        instance.inbox.shut = self.keys is not None

    @property
    def groups(self) -> range:
        """Those that this instance owns."""
        return groups_of(index_of(self._instance.assignment.instance), self.owned.replicas)

    @property
    def chooser(self) -> Callable[[bytes], bool] | None:
        """Tells whether this instance is to handle a packed message; None where it handles all that come."""
        return self._owns if self.keys is not None and self.owned.replicas > 1 else None

    def _owns(self, packed: bytes) -> bool:
        """One without a key is for whoever asks first, and goes to the dead letters again."""
        assert self.keys is not None
        try:
            return self.keys.group(unpack_one(packed)) in self.groups
        except (NoKeyError, *UNPACK_ERRORS):
            return True

    def meet(self, peers: Peers, now: float) -> None:
        """These are the peers now, and the owners of keys among this node's instances."""
        self._parents = peers.parents
        if self.keys is not None and peers.owned is not None and peers.owned.epoch > self.owned.epoch:
            self.asked = peers.owned
        if self.asked is None:
            self._instance.inbox.meet(peers.parents, now)

    def advance(self, now: float) -> None:
        """Go by what was asked, as soon as nothing is in hand any more."""
        assert self.asked is not None
        inbox = self._instance.inbox
        inbox.shut = True
        inbox.set_aside()
        if not self._paused(now):
            return
        inbox.hand_back(lambda frames: unsettled(frames, self._instance.outbox.edges))
        self._instance.replaying.let_go()
        self.owned, self.asked, self._deadline = self.asked, None, None
        if self._instance.checkpoints is not None:
            self.hand_to(self._instance.checkpoints)
        inbox.ownership = self.owned.epoch
        inbox.shut = inbox.leaving or not self.groups
        inbox.meet(self._parents, now)

    def hand_to(self, checkpoints: Checkpoints) -> None:
        """Checkpoints go by what is owned now; to own nothing is no ownership that others would have to go by."""
        if self.owned.replicas:
            checkpoints.own(self.owned.epoch, self.owned.replicas)

    def _paused(self, now: float) -> bool:
        """Whether this is a point at which groups can go: nothing is in hand, and what was handled is in a checkpoint,
        or is settled, if that is soon. What is not comes again to its new owner."""
        inbox, checkpoints = self._instance.inbox, self._instance.checkpoints
        if inbox.in_hand:
            return False
        if checkpoints is not None and self._instance.work.at_rest:
            return checkpoints.empty or checkpoints.take()
        if self._deadline is None:
            self._deadline = now + RELEASE_SETTLE_S
        return inbox.clear or now >= self._deadline
