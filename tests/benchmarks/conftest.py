"""What all tests of the benchmarks need: their processes find their modules in the folder in which they are started.

So each test is run from the root of the repository, wherever pytest was started.
"""

from __future__ import annotations

import pytest

from tests.house.source import ROOT


@pytest.fixture(autouse=True)
def _from_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
