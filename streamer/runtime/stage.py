"""How far an instance has come on its way to its end; it never goes back.

While it is *running* its inputs may change with the flows. Once it is *stopping*, all that it will ever get has come,
so it must not be given an input that it did not know before.
"""

from __future__ import annotations

from enum import IntEnum


class Stage(IntEnum):
    """`stopping`: the work says goodbye · `ending`: all that was sent is on its way · `ended`: it is settled."""

    RUNNING = 0
    STOPPING = 1
    ENDING = 2
    ENDED = 3
