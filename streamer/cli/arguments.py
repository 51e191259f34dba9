"""Arguments that many commands share, so that they are the same everywhere.

A job is meant by its id or by the name of its pipeline, in whatever command it is named, and what a platform has is
written in one form.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Job = Annotated[
    str,
    typer.Argument(metavar="JOB", help="The job's id, or its pipeline's name if that has one live job."),
]

Files = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE",
        help="Descriptors, JSON or YAML: the pipeline and its algorithms, in one file, in several, or in a folder.",
        show_default=False,
    ),
]

Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Set a field of the pipeline, such as nodes.parse.minStatelessCount=3 (repeatable).",
    ),
]

Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        metavar="FILE|JSON|KEY=VALUE",
        help="The pipeline's flowInput: a JSON or YAML file, a JSON text, or single values (repeatable).",
    ),
]

AsJson = Annotated[
    bool, typer.Option("--json", help='Write {"job"} to stdout as one line of JSON, all else to stderr.')
]

CapacityList = Annotated[
    str,
    typer.Option(
        "--capacity",
        metavar="LIST",
        help="What all instances together may take: cpu=4,gpu=1,mem=8Gi,instances=64.",
        show_default=False,
    ),
]

Autoscale = Annotated[
    bool, typer.Option("--autoscale/--no-autoscale", help="Let replicas of stateless nodes follow the load.")
]
