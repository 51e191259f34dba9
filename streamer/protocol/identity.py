"""Who a message is: origin, position in the origin, and a hash chained over its way.

A *root* is a message that nothing upstream can make again. Its origin names what it was read from (node, partition,
generation) and its position is the place there, so that the same record gets the same id after any restart. A child's
id is its parent's with the hash moved on by (node, flow position, child index): of fixed size however long the way, and
the same again when a deterministic algorithm handles the same message again.

Chaining uses the finalizer of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA
2014): cheap, and every input bit reaches every output bit. Names are hashed once, with BLAKE2b.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

_MASK = (1 << 64) - 1
ROOT_HASH = 0


class MessageId(NamedTuple):
    """`str()` gives the form in logs and dead letters: origin-position-hash, in hexadecimal and decimal."""

    origin: int
    position: int
    hash: int

    def __str__(self) -> str:
        return f"{self.origin:016x}-{self.position}-{self.hash:016x}"


def origin_of(node: str, partition: str, generation: int) -> int:
    """64-bit origin. `generation` is 0 where records can be read again, else it is new at each start."""
    return _digest(f"{node}\0{partition}\0{generation}")


@lru_cache(maxsize=65_536)
def step_of(node: str, flow: str, occurrence: int, child: int) -> int:
    """What a handler call at this place adds to the hash of its `child`-th message (from 0) into that flow."""
    return _digest(f"{node}\0{flow}\0{occurrence}\0{child}")


def chained(parent_hash: int, step: int) -> int:
    """The child's 64-bit hash."""
    z = (parent_hash + step + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def _digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")
