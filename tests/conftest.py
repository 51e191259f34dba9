"""Settings of the whole suite.

No property has a deadline, since a machine that is busy is no counterexample. The processes that tests start may keep
what Python has compiled: where the environment forbids it, each would compile the engine anew, a quarter of its start.
"""

from __future__ import annotations

import os

from hypothesis import settings

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
settings.register_profile("streamer", deadline=None)
settings.load_profile("streamer")
