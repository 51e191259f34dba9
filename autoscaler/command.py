"""The `autoscaler` command: its verbs and options, and where its errors become text and an exit code.

It is small beside `streamer`, and keeps its forms: results on stdout, all else on stderr, 0, 1 and 2 as exit codes, and
no stack trace for what the user can put right.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from streamer.cli.arguments import CapacityList
from streamer.cli.exits import exit_code
from streamer.cli.output import allow_any_text, tell, tell_error
from streamer.errors import StreamerError

app = typer.Typer(
    name="autoscaler",
    help="Decide how many replicas the nodes of pipelines need, and try rules for that in a simulation.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


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


@app.callback(invoke_without_command=True)
def service_command(
    context: typer.Context,
    platform: Annotated[str, typer.Option("--platform", metavar="NAME", help="Where the jobs are: local.")] = "local",
    prometheus: Annotated[
        str,
        typer.Option("--prometheus", metavar="URL", help="A Prometheus server; else the jobs' own pages are read."),
    ] = "",
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", metavar="FILE", help="A token for that server, sent as a bearer's."),
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option("--ca-file", metavar="FILE", help="Certificates to trust, in PEM form.")
    ] = None,
    tenant: Annotated[
        str, typer.Option("--tenant", metavar="NAME", help="Sent as X-Scope-OrgID to that server.", show_default=False)
    ] = "",
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
    trace: Annotated[
        str,
        typer.Option(
            "--trace",
            metavar="NAME|FILE.csv|URL|all",
            help="step, ramp, sine, spikes, onoff (all of these: all), diurnal, a file of seconds,rate, or the address "
            "of a range query of Prometheus.",
        ),
    ] = "all",
    rule: Annotated[
        str,
        typer.Option("--rule", metavar="NAME|all", help="streamer, hkube, numaflow, keda, hpa, flink, ds2, or all."),
    ] = "all",
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
            as_json=as_json,
            picture=picture,
        )
    )


def main() -> None:
    """Entry point of the `autoscaler` command. Every error of ours becomes its message, its remedy and an exit code."""
    allow_any_text()
    try:
        app()
    except StreamerError as error:
        tell_error(error)
        sys.exit(exit_code(error))
