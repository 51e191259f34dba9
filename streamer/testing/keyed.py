"""Messages with keys in simulated jobs, and the watch over their order.

A message of a simulated job is a text that tells its own way. Where a node is partitioned, the text travels in a
mapping beside its key, which is made of the number of its record: so all that is made of one record has one key, and
some records have none. The watch knows which instance handled what and which life sent it, and holds three things
against it: a group has one owner at a time, one session keeps the order of a key, redeliveries included, and no message
of a key is handled for the first time after a later one of the same sender.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from streamer.errors import NoKeyError
from streamer.plan.assignment import Role

if TYPE_CHECKING:
    # It tells what it handles.
    from streamer.testing.life import Life

KEY_FIELD = "key"
_WAY_FIELD = "way"

Wrap = Callable[[str], object]
"""Makes what travels of the text that a handler knows."""


def record_of(message: str) -> int:
    """The number of the record that it came from."""
    return int(message.partition("/")[0].partition("#")[2])


def keyed(keys: int, keyless: int) -> Wrap:
    """Messages of so many keys; a record whose number `keyless` divides (0: none) has no key."""

    def wrap(message: str) -> object:
        record = record_of(message)
        if keyless and record % keyless == 0:
            return {_WAY_FIELD: message}
        return {_WAY_FIELD: message, KEY_FIELD: f"key-{record % keys}"}

    return wrap


def text_of(value: Any) -> Any:
    """The text of a message, with or without a key beside it."""
    return value[_WAY_FIELD] if isinstance(value, dict) and _WAY_FIELD in value else value


def key_of(value: Any) -> object:
    """The key beside a text; None if there is none."""
    return value.get(KEY_FIELD) if isinstance(value, dict) else None


class KeyWatch:
    """`problems` are what was wrong. It is noted and not raised: a handler that raises is its message's business."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._senders: dict[tuple[int, int], Life] = {}
        self._owners: dict[tuple[str, int], tuple[int, str]] = {}
        self._last: dict[tuple[int, Life, object], int] = {}
        self._first: dict[tuple[str, Life, object], int] = {}
        self._handled: set[tuple[str, Life, object]] = set()
        self._records: dict[tuple[str, str, object], int] = {}
        self._recorded: set[tuple[str, str, object, str]] = set()

    def sends(self, session: int, sequence: int, life: Life) -> None:
        """This life sends a frame of this number in a session, which its next life may take up."""
        self._senders[session, sequence] = life

    def took(self, life: Life, session: int, sequence: int, message: Any) -> None:
        """The handler of an instance is given this message of a frame."""
        keys = life.instance.handover.keys
        if keys is None:
            return
        try:
            group, key = keys.group(message), keys.find(message)
        except NoKeyError as error:
            self.problems.append(f"{life.name} was given {message!r}: {error}")
            return
        self._one_owner(life, group, message)
        self._in_order(life, session, self._senders[session, sequence], key, text_of(message))

    def _one_owner(self, life: Life, group: int, message: object) -> None:
        handover, node = life.instance.handover, life.assignment.node
        if group not in handover.groups:
            self.problems.append(f"{life.name} handles {message!r} of group {group}, and owns {handover.groups}")
        now = handover.owned.epoch, life.name
        before = self._owners.setdefault((node, group), now)
        if now[0] < before[0] or (now[0] == before[0] and now != before):
            self.problems.append(f"group {group} is handled by {now} after {before}")
        self._owners[node, group] = now

    def _in_order(self, life: Life, session: int, sender: Life, key: object, message: str) -> None:
        node, emissions = life.assignment.node, sender.emitted.get(message, [])
        last = _next(emissions, self._last.get((session, sender, key), 0))
        if last is None:
            self.problems.append(f"{life.name}, session {session}: {message!r} of key {key!r} came out of order")
        else:
            self._last[session, sender, key] = last
        if (node, sender, message) in self._handled:
            return
        self._handled.add((node, sender, message))
        first = _next(emissions, self._first.get((node, sender, key), 0))
        if first is None:
            self.problems.append(f"{life.name}: {message!r} of key {key!r} is handled after a later one")
        else:
            self._first[node, sender, key] = first
        if sender.assignment.role is Role.SOURCE:
            self._over_lives(life, sender, key, message)

    def _over_lives(self, life: Life, sender: Life, key: object, message: str) -> None:
        """A source sends its records in their order again, so also what its lives send is handled in order at first."""
        run = life.assignment.node, sender.name, key
        if record_of(message) > self._records.get(run, -1):
            self._records[run] = record_of(message)
        elif (*run, message) not in self._recorded:
            self.problems.append(f"{life.name}: {message!r} of key {key!r} is handled after a later record")
        self._recorded.add((*run, message))


def _next(emissions: Sequence[int], after: int) -> int | None:
    """The first emission after that one."""
    at = bisect_right(emissions, after)
    return emissions[at] if at < len(emissions) else None
