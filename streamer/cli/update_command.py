"""The verb `streamer update` and its options, as the command line shows them.

It takes descriptors as `run` does, in the same words; what it does is in `update`, imported when it is used.
"""

from __future__ import annotations

from typing import Annotated

import typer

from streamer.cli.arguments import Files, Inputs, Job, Settings


def update_command(
    job: Job,
    files: Files,
    settings: Settings = None,
    inputs: Inputs = None,
    timeout: Annotated[
        str | None,
        typer.Option("--timeout", metavar="DURATION", help="Wait no longer than this; the update goes on: 30s, 5m."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write the result to stdout as one line of JSON, all else to stderr.")
    ] = False,
) -> None:
    """Make a job that goes on another version of its pipeline, and return when it is: nothing is lost or stopped.

    Algorithms (also those whose files were edited where they lie), their input, concurrency, ttl, retries, replicas and
    flows can change. Instances are replaced one at a time, each with its state, the next one when the one before it has
    shown that it can live. If an instance of the new version crashes, all go back to the old one, and the exit code
    is 1. What cannot be changed while the job goes on is refused, every difference named, with exit code 2.

    Give --set and --input as they were given to run, if they still hold.
    """
    from streamer.cli.durations import parse_duration_s
    from streamer.cli.update import UpdateOptions, update

    options = UpdateOptions(
        files=tuple(files),
        settings=tuple(settings or ()),
        inputs=tuple(inputs or ()),
        timeout_s=None if timeout is None else parse_duration_s(timeout),
        as_json=as_json,
    )
    raise typer.Exit(update(job, options))
