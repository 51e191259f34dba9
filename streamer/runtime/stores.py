"""Where an instance keeps what must survive a kill: the ports of its account, of dead letters, and of their replays.

The engine counts something as done only when one of these has it, so they are all that a simulation has to replace to
play kills at any moment. Each returns when what it was given is safe from the death of the process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from streamer.protocol.account import InstanceAccount
from streamer.protocol.frames import InHand
from streamer.state.dead_letters import DeadLetter, KeptLetter


class AccountStore(Protocol):
    """Where the account is kept; `publish` puts its present state in force."""

    account: InstanceAccount

    def publish(self) -> None: ...


class LetterStore(Protocol):
    """Where letters become durable; they survive a kill when `append` returns."""

    def append(self, records: Sequence[DeadLetter]) -> None: ...


class Claimed(Protocol):
    """A letter that was claimed; see `state.replays.Claimed`."""

    @property
    def kept(self) -> KeptLetter: ...

    @property
    def current_flows(self) -> bool: ...

    @property
    def alone(self) -> bool: ...


class ReplayStore(Protocol):
    """What is wanted, claimed and settled; see `state.replays.Replays`."""

    def begin(self, holder: str, crashed: Sequence[InHand], now_s: float) -> None: ...

    def claim(
        self,
        node: str,
        holder: str,
        lives: Sequence[str],
        session: int,
        sequence: int,
        most: int,
        mine: Callable[[bytes], bool] | None = None,
    ) -> Sequence[Claimed]: ...

    def let_go(self, holder: str, numbers: Sequence[int]) -> None: ...

    def settled(self, node: str, holder: str, numbers: Sequence[int]) -> None: ...

    def refuse(self, number: int, why: str) -> None: ...
