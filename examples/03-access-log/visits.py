"""Plays the web server: appends requests to access.log in this folder, and rotates it as logrotate does.

    python visits.py --rate 50 --rotate 500 --count 10000

The requests come from a seed, so that two logs of the same length differ in their times only.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

LOG = Path("access.log")

ADDRESSES = ("10.1.4.9", "10.7.0.23", "192.0.2.44", "2001:db8::17", "198.51.100.6")
PATHS = ("/", "/shop/shoes?size=43", "/shop/hats", "/account/orders", "/search?q=boots")
AGENTS = ("Mozilla/5.0 (X11; Linux x86_64)", "Mozilla/5.0 (compatible; ExampleBot/2.1)", "curl/8.5.0")
STATUSES = (200, 200, 200, 200, 304, 404, 500, 503)


def lines(count: int | None) -> Iterator[str]:
    """So many lines, or lines without end. One in a hundred is broken, as by a disk that was full."""
    dice = random.Random(3)
    number = 0
    while count is None or number < count:
        number += 1
        now = datetime.now(UTC).strftime("%d/%b/%Y:%H:%M:%S %z")
        request = f'{dice.choice(ADDRESSES)} - - [{now}] "GET {dice.choice(PATHS)} HTTP/1.1"'
        line = f'{request} {dice.choice(STATUSES)} {dice.randrange(9999)} "-" "{dice.choice(AGENTS)}"'
        yield line if number % 100 else line[:40]


def rotate() -> None:
    """access.log becomes access.log.1, which becomes access.log.2, and so on."""
    for number in range(len(list(LOG.parent.glob("access.log.*"))), 0, -1):
        LOG.with_name(f"access.log.{number}").rename(LOG.with_name(f"access.log.{number + 1}"))
    LOG.rename(LOG.with_name("access.log.1"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=50, help="requests a second")
    parser.add_argument("--rotate", type=int, default=500, help="requests in a file")
    parser.add_argument("--count", type=int, help="requests in all; without it they go on until Ctrl-C")
    options = parser.parse_args()
    began = time.monotonic()
    for number, line in enumerate(lines(options.count)):
        if number and number % options.rotate == 0:
            rotate()
        with LOG.open("a", encoding="utf-8") as log:
            log.write(line + "\n")
        ahead_s = (number + 1) / options.rate - (time.monotonic() - began)
        if ahead_s > 0.01:
            time.sleep(ahead_s)


if __name__ == "__main__":
    main()
