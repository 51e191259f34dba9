"""A load generator outside of a pipeline: it posts messages to gateways at the rates of a trace, second by second.

It is a process of its own, so that a pipeline that is slow does not slow its load down. Each message carries the time
at which it was due, and not the time at which it could be sent, so that waiting counts from there (coordinated
omission); what a full gateway refuses is sent again, and told.

    python -m benchmarks.scenario.load WORK_S RATES_JSON URL...
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from streamer.cli.output import say

_SLOT_S = 0.02
_AGAIN_S = 0.1


class Gateway:
    """One connection, kept alive."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._path = f"{parts.path}?wait=false"
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port)
        self.refused = 0

    def post(self, message: object) -> None:
        body = json.dumps(message).encode()
        while True:
            self._connection.request("POST", self._path, body, {"Content-Type": "application/json"})
            answer = self._connection.getresponse()
            answer.read()
            if answer.status < 300:
                return
            self.refused += 1
            time.sleep(_AGAIN_S)


def drive(gateways: Sequence[Gateway], work_s: float, rates: Sequence[float]) -> int:
    """Send what is due until the trace is over; gives the number of messages."""
    began, sent = time.time(), 0
    due_before = [0.0]
    for rate in rates:
        due_before.append(due_before[-1] + rate)
    while sent < int(due_before[-1]):
        elapsed = time.time() - began
        second = min(int(elapsed), len(rates) - 1)
        due = due_before[second] + rates[second] * min(1.0, elapsed - second)
        while sent < int(due):
            at = began + _due_at(due_before, rates, sent + 1, second)
            gateways[sent % len(gateways)].post({"at": at, "work_s": work_s})
            sent += 1
        time.sleep(_SLOT_S)
    time.sleep(max(0.0, began + len(rates) - time.time()))
    return sent


def _due_at(due_before: Sequence[float], rates: Sequence[float], number: int, second: int) -> float:
    """When the message of this number is due, in seconds of the trace: at the latest in this second of it."""
    while second and due_before[second] >= number:
        second -= 1
    return second + (number - due_before[second]) / rates[second]


def main(arguments: Sequence[str]) -> int:
    work_s, rates, *urls = arguments
    gateways = [Gateway(url) for url in urls]
    sent = drive(gateways, float(work_s), json.loads(rates))
    say(json.dumps({"sent": sent, "refused": sum(gateway.refused for gateway in gateways)}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
