"""Adds edges to an account, and publishes it, until it is killed: the page has to grow again and again."""

from __future__ import annotations

import sys
from pathlib import Path

from streamer.state.account import AccountPage

if __name__ == "__main__":
    page = AccountPage(Path(sys.argv[1]), ("first",), replayable=False)
    while True:
        edge = page.account.edge(f"{len(page.account.edges):0200}")
        edge.sent = edge.settled = len(page.account.edges)
        page.publish()
        if len(page.account.edges) % 8 == 0:
            sys.stdout.write(".")
            sys.stdout.flush()
