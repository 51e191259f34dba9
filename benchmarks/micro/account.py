"""Putting an account in force before its frame leaves: what a kill that loses no count costs.

It is paid once a frame and told a message, as the others, to be comparable.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.micro.timing import Case
from streamer.state.account import AccountPage


def _page(ranges: int) -> AccountPage:
    # The file is gone when the folder is; the mapping stays.
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        page = AccountPage(Path(folder), ("sink",), replayable=True)
    page.account.edge("sink").roots.ranges = [2 * n + 1 for n in range(2 * ranges)]
    return page


def cases() -> dict[str, Case]:
    dense, sparse = _page(0), _page(100)
    return {
        "publish": Case(dense.publish),
        "publish with 100 settled ranges": Case(sparse.publish, reference="publish"),
    }
