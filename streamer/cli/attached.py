"""Processes that `streamer run --kafka` starts beside a job, and that end when it does, however it ends."""

from __future__ import annotations

import os


def is_orphaned(parent: int) -> bool:
    """Whether the process of this number is the parent no more; 0 is nobody's number, and never gone."""
    return bool(parent) and os.getppid() != parent
