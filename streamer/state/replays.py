"""Dead letters that are to be handled again: wanted by people, claimed by an instance, and gone when it is done.

A command marks letters as wanted, and an instance of their node claims some at a time, in one transaction, so that two
instances never handle the same one. What is claimed stays in the store until it is settled: if the instance is killed,
its next life claims the same again, or another instance if there is none, and nothing is lost. It has the same ids
then, since they are made of the letter's number and of how often it was replayed. What was in hand at a death gains an
attempt, comes alone from then on, and is dead again after its last.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamer.limits import CRASH_ATTEMPTS_MAX, FRAME_BYTES_MAX, REPLAY_LETTERS_MAX
from streamer.protocol.frames import InHand
from streamer.state.dead_letters import KEPT_COLUMNS, DeadLetters, KeptLetter, kept_of, packed_of, remove
from streamer.state.letter_search import LetterSearch

if TYPE_CHECKING:
    import sqlite3

_CLAIMABLE = "target = ? AND (state = 'wanted' OR (state = 'claimed' AND holder NOT IN ({lives})))"
_REFUSED = "UPDATE letters SET state = 'dead', holder = '', error = error || ? WHERE number = ?"
_CRASHED = (
    "UPDATE letters SET attempts = attempts + crashes, crashes = 0, state = 'dead', holder = '', reason = 'crash', "
    "traceback = '', error = ?, last_s = ? WHERE crashes >= ? AND state <> 'dead'"
)


Mine = Callable[[bytes], bool]
"""Whether a packed message is one for the instance that asks."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A letter to be handled again. `alone`: it was in hand at a death, so nothing else should be in hand with it."""

    kept: KeptLetter
    current_flows: bool
    alone: bool


class Replays:
    """Of the letters of one store. All raise StateError."""

    def __init__(self, store: DeadLetters) -> None:
        self._store = store

    # -- for commands --------------------------------------------------------------------------------------------------

    def want(self, numbers: Collection[int], *, current_flows: bool) -> None:
        """Have these letters handled again, under the version of the flows that each had, or under the current one."""
        with self._store.writing() as connection:
            connection.executemany(
                "UPDATE letters SET state = 'wanted', current_flows = ?, holder = '', crashes = 0 "
                "WHERE number = ? AND state = 'dead'",
                [(current_flows, number) for number in numbers],
            )

    def release(self) -> None:
        """The job has ended: what was wanted or claimed is dead, and nothing more."""
        if self._store.path.exists():
            with self._store.writing() as connection:
                connection.execute("UPDATE letters SET state = 'dead', holder = '' WHERE state <> 'dead'")

    def under_way(self, numbers: Collection[int]) -> int:
        """How many of these are wanted or claimed."""
        search = LetterSearch(numbers=tuple(numbers))
        return sum(1 for kept in self._store.find(search, messages=False) if kept.state != "dead") if numbers else 0

    def counts(self) -> dict[str, int]:
        """How many letters were replayed and have gone, by node."""
        with self._store.reading() as connection:
            return {} if connection is None else dict(connection.execute("SELECT node, letters FROM replayed"))

    # -- for instances -------------------------------------------------------------------------------------------------

    def begin(self, holder: str, crashed: Sequence[InHand], now_s: float) -> None:
        """A life of instance `holder` begins: what its last one had claimed is to be claimed again.

        `crashed` is what that had in hand when it died.
        """
        if not self._store.path.exists():
            return
        with self._store.writing() as connection:
            for hand in crashed:
                connection.execute(
                    "UPDATE letters SET crashes = crashes + 1 "
                    "WHERE holder = ? AND session = ? AND sequence = ? AND place BETWEEN ? AND ?",
                    (holder, hand.session, hand.sequence, hand.first, hand.first + hand.more),
                )
            error = f"in hand when {CRASH_ATTEMPTS_MAX} instances died that handled it again"
            connection.execute(_CRASHED, (error, now_s, CRASH_ATTEMPTS_MAX))
            connection.execute("UPDATE letters SET state = 'wanted' WHERE holder = ? AND state = 'claimed'", (holder,))

    def claim(
        self,
        node: str,
        holder: str,
        lives: Collection[str],
        session: int,
        sequence: int,
        most: int,
        mine: Mine | None = None,
    ) -> list[Claimed]:
        """Claim letters of `node` for one frame, at most so many; all came from one node. Empty if there are none.

        `lives` are the instances of the node: what others have claimed is free. The frame is known by its `session` and
        `sequence`. Of a node whose instances own keys each claims those that are `mine`.
        """
        if not self._store.path.exists():
            return []
        where = _CLAIMABLE.format(lives=", ".join("?" * len(lives)))
        values = (node, *lives)
        with self._store.reading() as connection:
            assert connection is not None
            if connection.execute(f"SELECT 1 FROM letters WHERE {where} LIMIT 1", values).fetchone() is None:
                return []
        with self._store.writing() as connection:
            numbers = _of_one_frame(connection, where, values, min(most, REPLAY_LETTERS_MAX), mine)
            connection.executemany(
                "UPDATE letters SET replays = replays + (holder = ''), state = 'claimed', holder = ?, session = ?, "
                "sequence = ?, place = ? WHERE number = ?",
                [(holder, session, sequence, place, number) for place, number in enumerate(numbers)],
            )
            return [_claimed(connection, number) for number in numbers]

    def settled(self, node: str, holder: str, numbers: Sequence[int]) -> None:
        """These are handled, and so is all that was sent for them; those that are dead again stay."""
        with self._store.writing() as connection:
            gone = [
                number
                for number in numbers
                if connection.execute(
                    "SELECT 1 FROM letters WHERE number = ? AND state = 'claimed' AND holder = ?", (number, holder)
                ).fetchone()
            ]
            remove(connection, gone)
            connection.execute(
                "INSERT INTO replayed VALUES (?, ?) ON CONFLICT DO UPDATE SET letters = letters + excluded.letters",
                (node, len(gone)),
            )

    def let_go(self, holder: str, numbers: Sequence[int]) -> None:
        """Not handled, and to be claimed by whoever owns their keys now; the ids stay."""
        with self._store.writing() as connection:
            connection.executemany(
                "UPDATE letters SET state = 'wanted' WHERE number = ? AND state = 'claimed' AND holder = ?",
                [(number, holder) for number in numbers],
            )

    def refuse(self, number: int, why: str) -> None:
        """This one cannot be handled again, and is dead as before."""
        with self._store.writing() as connection:
            connection.execute(_REFUSED, (f" (not replayed: {why})", number))


def _of_one_frame(
    connection: sqlite3.Connection, where: str, values: Sequence[object], most: int, mine: Mine | None
) -> list[int]:
    """The first letter, and those that can go with it."""
    found = connection.execute(
        "SELECT number, source, crashes, (SELECT total(length(data)) FROM parts WHERE parts.number = letters.number), "
        "(SELECT max(piece) FROM parts WHERE parts.number = letters.number) "
        f"FROM letters WHERE {where} ORDER BY number LIMIT ?",
        (*values, most if mine is None else -1),
    ).fetchall()
    numbers: list[int] = []
    size = 0
    first_source = None
    for number, source, crashes, length, pieces in found:
        if numbers and (source != first_source or crashes or pieces or size + length > FRAME_BYTES_MAX):
            continue
        if mine is not None and not mine(packed_of(connection, number)):
            continue
        first_source = source
        numbers.append(number)
        size += length
        if crashes or pieces or len(numbers) == most:
            break
    return numbers


def _claimed(connection: sqlite3.Connection, number: int) -> Claimed:
    row = connection.execute(
        f"SELECT current_flows, crashes, {KEPT_COLUMNS} FROM letters WHERE number = ?", (number,)
    ).fetchone()
    return Claimed(kept_of(connection, row[2:]), bool(row[0]), row[1] > 0)
