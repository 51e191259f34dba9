"""A stateless node that takes `input[0]` seconds for each message.

It sleeps, so that a machine with few cores can still overload it tenfold.
"""

from __future__ import annotations

import time
from typing import Any


def start(args: dict[str, Any], _api: object) -> None:
    time.sleep(args["input"][0])
