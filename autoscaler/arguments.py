"""Options of `autoscaler`: those that its verbs share, so that each means one thing, and those that are long to read.

They stand apart from the verbs, as those of `streamer` do. An option that is typed twice comes to mean two things.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", metavar="FILE", help="A token for Prometheus, sent as a bearer's."),
]

CaFile = Annotated[Path | None, typer.Option("--ca-file", metavar="FILE", help="Certificates to trust, in PEM form.")]

Tenant = Annotated[
    str,
    typer.Option("--tenant", metavar="NAME", help="Sent as X-Scope-OrgID to Prometheus.", show_default=False),
]

Season = Annotated[
    str | None,
    typer.Option(
        "--season",
        metavar="DURATION",
        help="Load repeats after this time (30m, 24h): what came a season ago is prepared for.",
        show_default=False,
    ),
]

Spares = Annotated[
    int,
    typer.Option("--spares", metavar="N", help="Replicas of each node at work beyond what its demand asks for."),
]

TraceName = Annotated[
    str,
    typer.Option(
        "--trace",
        metavar="NAME|FILE.csv|URL|all",
        help="step, ramp, sine, spikes, onoff (all of these: all), diurnal, a file of seconds,rate, or the address "
        "of a range query of Prometheus.",
    ),
]

RuleName = Annotated[
    str,
    typer.Option("--rule", metavar="NAME|all", help="streamer, hkube, numaflow, keda, hpa, flink, ds2, or all."),
]

Rates = Annotated[
    list[str] | None,
    typer.Option(
        "--rate",
        metavar="NODE=MESSAGES",
        help="What one replica of the node handles per second (100; repeatable).",
        show_default=False,
    ),
]
Selectivities = Annotated[
    list[str] | None,
    typer.Option(
        "--selectivity",
        metavar="SOURCE:TARGET=FACTOR",
        help="Messages over this edge for each that its source handles (1; repeatable).",
        show_default=False,
    ),
]
