"""Settings of the whole suite: no property has a deadline, since a machine that is busy is no counterexample."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("streamer", deadline=None)
settings.load_profile("streamer")
