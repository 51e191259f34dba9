"""Which dead letters are meant: by node, by a part of the error, by time, by number; what is not said does not matter.

People narrow down what they look at first and use the same words for what they then send in again or delete, so all
commands share this one value, and the store turns it into one condition.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LetterSearch:
    """`node` is the one that was to handle the message. Times are of the last failure, in seconds since 1970."""

    node: str | None = None
    error: str | None = None
    since_s: float | None = None
    until_s: float | None = None
    numbers: tuple[int, ...] = ()

    def sql(self) -> tuple[str, tuple[object, ...]]:
        """A condition on the table of letters, and its values."""
        conditions, values = ["1"], list[object]()
        for condition, value in (
            ("target = ?", self.node),
            ("instr(error, ?) > 0", self.error),
            ("last_s >= ?", self.since_s),
            ("last_s <= ?", self.until_s),
        ):
            if value is not None:
                conditions.append(condition)
                values.append(value)
        if self.numbers:
            # numbers, and no text of a user: there may be more of them than values can be bound
            conditions.append(f"number IN ({', '.join(str(int(number)) for number in self.numbers)})")
        return " AND ".join(conditions), tuple(values)


ALL = LetterSearch()
