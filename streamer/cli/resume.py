"""`streamer resume`: a job that has failed goes on from where it stood, as a detached one.

What is done is decided by `control.hosts.resume`; from there on it is a detached job that begins. On a cluster a record
is enough: whoever leads takes the job up, and agents start its instances where they were.
"""

from __future__ import annotations

from streamer.cli.detach import begun
from streamer.cli.jobs import home_folder, opened_jobs
from streamer.cli.on_kafka import chosen_cluster
from streamer.control.hosts.resume import resume as revive


def resume(name: str, *, as_json: bool) -> int:
    """The exit code."""
    if chosen_cluster():
        from streamer.cli.submit import resumed

        return resumed(name, chosen_cluster(), as_json=as_json)
    with opened_jobs() as jobs:
        kept = jobs.find(name)
        revive(jobs.log, home_folder(), kept)
        return begun(jobs, kept.job, as_json=as_json)
