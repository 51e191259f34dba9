"""The `autoscaler` command: its verbs and options.

It is small beside `streamer`, and keeps its forms: results on stdout, all else on stderr, 0, 1 and 2 as exit codes, and
no stack trace for what the user can put right.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from autoscaler.arguments import CaFile, Rates, RuleName, Season, Selectivities, Spares, Tenant, TokenFile, TraceName
from autoscaler.settings import DEFAULT, Settings
from streamer.cli.arguments import CapacityList
from streamer.cli.durations import parse_duration_s
from streamer.cli.entry import enter
from streamer.cli.output import tell

app = typer.Typer(
    name="autoscaler",
    help="Decide how many replicas the nodes of pipelines need, and try rules for that in a simulation.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def service_command(
    context: typer.Context,
    platform: Annotated[str, typer.Option("--platform", metavar="NAME", help="Where the jobs are: local.")] = "local",
    prometheus: Annotated[
        str,
        typer.Option("--prometheus", metavar="URL", help="A Prometheus server; else the jobs' own pages are read."),
    ] = "",
    token_file: TokenFile = None,
    ca_file: CaFile = None,
    tenant: Tenant = "",
    season: Season = None,
    spares: Spares = 0,
    capacity: CapacityList = "",
    metrics_port: Annotated[
        int | None,
        typer.Option(
            "--metrics-port", min=0, max=65535, help="Serve metrics of the autoscaler at this port of 127.0.0.1."
        ),
    ] = None,
) -> None:
    """Without a verb: scale the jobs of a platform, until Ctrl-C or SIGTERM.

    Those of this machine are the jobs below $STREAMER_HOME that were started with --no-autoscale.
    """
    if context.invoked_subcommand is not None:
        return
    from autoscaler.collect.web import Access
    from autoscaler.service import ServiceOptions, serve
    from streamer.cli.jobs import home_folder
    from streamer.descriptor.resources import parse_capacity

    options = ServiceOptions(
        home=home_folder(),
        platform=platform,
        prometheus=prometheus,
        access=Access(token_file, ca_file, tenant),
        capacity=parse_capacity(capacity),
        metrics_port=metrics_port,
        settings=_settings(season, spares),
    )
    serve(options, tell)


@app.command("simulate", short_help="Try rules for replicas in a simulation.")
def simulate_command(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PIPELINE", help="Descriptors of a pipeline; without one, three stages.", show_default=False
        ),
    ] = None,
    trace: TraceName = "all",
    rule: RuleName = "all",
    start_up_s: Annotated[
        int, typer.Option("--startup", metavar="SECONDS", help="From the wish for a replica until it is at work.")
    ] = 20,
    seed: Annotated[int, typer.Option("--seed", help="Of the noise: another one gives another course.")] = 1,
    mu_error: Annotated[
        float,
        typer.Option("--mu-error", metavar="FACTOR", help="The measured rate of a replica over the real one."),
    ] = 1.0,
    rates: Rates = None,
    selectivities: Selectivities = None,
    token_file: TokenFile = None,
    ca_file: CaFile = None,
    tenant: Tenant = "",
    season: Season = None,
    spares: Spares = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write the criteria to stdout as one line of JSON: {rule: {trace: {...}}}.")
    ] = False,
    picture: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Draw the courses into a .png or .svg file (extra: plot)."),
    ] = None,
) -> None:
    """Try rules for replicas in a simulation, and print how each of them did on each trace.

    late: part of the time with over five seconds of queueing. oracle: replica-seconds over those of an oracle that
    holds, in every second, the least replicas that carry the rate. The trace is shared by the pipeline's sources.
    """
    from autoscaler.collect.web import Access
    from autoscaler.simulation.command import SimulateOptions, simulate_command

    simulate_command(
        SimulateOptions(
            files=tuple(files or ()),
            trace=trace,
            rule=rule,
            start_up_s=start_up_s,
            seed=seed,
            mu_error=mu_error,
            rates=tuple(rates or ()),
            selectivities=tuple(selectivities or ()),
            access=Access(token_file, ca_file, tenant),
            settings=_settings(season, spares),
            as_json=as_json,
            picture=picture,
        )
    )


def _settings(season: str | None, spares: int) -> Settings:
    return replace(DEFAULT, season_s=None if season is None else parse_duration_s(season), spares=spares)


def main() -> None:
    """Entry point of the `autoscaler` command. Every error of ours becomes its message, its remedy and an exit code."""
    enter(app)
