"""Arguments that many commands share, so that they are the same everywhere.

A job is meant by its id or by the name of its pipeline, in whatever command it is named.
"""

from __future__ import annotations

from typing import Annotated

import typer

Job = Annotated[
    str,
    typer.Argument(metavar="JOB", help="The job's id, or its pipeline's name if that has one live job."),
]
