"""Sends and settles in an account, and publishes it, until it is killed: every third one is settled."""

from __future__ import annotations

import sys
from pathlib import Path

from streamer.state.account import AccountPage

if __name__ == "__main__":
    page = AccountPage(Path(sys.argv[1]), ("parse",), replayable=True)
    edge = page.account.edge("parse")
    while True:
        edge.sent += 3
        edge.in_flight += 3
        page.publish()
        edge.settled += 1
        edge.in_flight -= 1
        edge.roots.add(edge.sent, edge.sent + 1)
        page.publish()
        if edge.sent % 30 == 0:
            sys.stdout.write(".")
            sys.stdout.flush()
