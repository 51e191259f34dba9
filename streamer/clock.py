"""The two clocks of the engine, in one place so that pure packages can be kept from looking at them.

`now()` is monotonic and measures spans; `wall()` is the time of day and only ever leaves the process (in messages,
logs, records). Both give seconds as floats. Tests pass their own functions wherever a clock is an argument.
"""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]

now: Clock = time.monotonic
wall: Clock = time.time
