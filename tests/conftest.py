"""Settings of the whole suite, and the figures that its tests tell.

No property has a deadline, since a machine that is busy is no counterexample. The processes that tests start may keep
what Python has compiled: where the environment forbids it, each would compile the engine anew, a quarter of its start.
What tests have counted is shown at the end, whether or not they failed, and from whichever process they ran in.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hypothesis import settings

Tell = Callable[[str], None]

_FIGURES = "figures"

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
settings.register_profile("streamer", deadline=None)
settings.load_profile("streamer")


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Tell:
    """Show these figures of a test when all tests have run."""
    return lambda text: record_property(_FIGURES, text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    told = [(report.nodeid, text) for report in reports for name, text in report.user_properties if name == _FIGURES]
    if told:
        terminalreporter.section("what was counted")
        for nodeid, text in sorted(set(told)):
            terminalreporter.write_line(f"{nodeid.rpartition('::')[2]}: {text}")
