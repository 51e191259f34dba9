"""`streamer resume`: a job that has failed goes on from where it stood, as a detached one.

What is done is decided by `control.hosts.resume`; from there on it is a detached job that begins.
"""

from __future__ import annotations

from streamer.cli.detach import begun
from streamer.cli.jobs import home_folder, opened_jobs
from streamer.control.hosts.resume import resume as revive


def resume(name: str, *, as_json: bool) -> int:
    """The exit code."""
    with opened_jobs() as jobs:
        kept = jobs.find(name)
        revive(jobs.log, home_folder(), kept)
        return begun(jobs, kept.job, as_json=as_json)
