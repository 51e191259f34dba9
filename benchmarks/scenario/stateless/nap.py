"""Stands for work: it sleeps for as long as its message says, and sends on when it was due and when it was done.

A replica that sleeps needs no processor, so dozens of them fit on a machine of two, and are as slow as they should be.
"""

from __future__ import annotations

import time
from typing import Any


def start(args: dict[str, Any]) -> dict[str, float]:
    message = args["streamInput"]["message"]
    time.sleep(message["work_s"])
    return {"delay_s": time.time() - message["at"] - message["work_s"]}
