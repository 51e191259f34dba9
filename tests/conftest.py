"""Settings of the whole suite: properties have no deadline, since a machine that is busy elsewhere is no counterexample."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("streamer", deadline=None)
settings.load_profile("streamer")
