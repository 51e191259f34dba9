"""The commands of a cluster: `submit`, `agent` and `controller`.

They stand apart from the verbs that look at jobs, since who types them cares for machines. A broker that cannot be
reached, a name that is taken or a capacity that cannot be read is an error before anything is started.
"""

from __future__ import annotations

from typing import Annotated

import typer

from streamer.cli.arguments import AsJson, Files, Inputs, Settings
from streamer.cli.on_kafka import STREAMER_KAFKA, OnKafka, chosen_cluster
from streamer.errors import OptionError

Attached = Annotated[int, typer.Option("--attached", hidden=True)]


def add_cluster_commands(app: typer.Typer) -> None:
    """Beside the others of the `streamer` command."""
    app.command("submit", cls=OnKafka, short_help="Begin a job that outlives the command.")(submit_command)
    app.command("agent", cls=OnKafka, short_help="Run instances of a cluster's jobs on this machine.")(agent_command)
    app.command("controller", cls=OnKafka, short_help="Lead the jobs of a cluster.")(controller_command)


def submit_command(
    files: Files,
    settings: Settings = None,
    inputs: Inputs = None,
    duration: Annotated[
        str | None,
        typer.Option("--for", metavar="DURATION", help="Drain after this time: 500ms, 30s, 2m, 1h."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Begin a job, and return when every node has an instance at work; its id is printed (--json: {"job"}).

    With --kafka it runs on the agents of a cluster, and waits for one if there is none. On this machine it is a
    detached job.
    """
    from streamer.cli.durations import parse_duration_s
    from streamer.cli.run import RunOptions, submit

    options = RunOptions(
        files=tuple(files),
        settings=tuple(settings or ()),
        inputs=tuple(inputs or ()),
        duration_s=None if duration is None else parse_duration_s(duration),
        as_json=as_json,
    )
    raise typer.Exit(submit(options))


def agent_command(
    capacity: Annotated[
        str,
        typer.Option(
            "--capacity",
            metavar="cpu=8,gpu=1,mem=16Gi,instances=64",
            help="What instances may ask for here, all together; what is left out is not bounded, but instances: 64.",
            show_default=False,
        ),
    ] = "",
    advertise: Annotated[
        str,
        typer.Option(
            "--advertise",
            metavar="ADDRESS",
            help="The address of this machine at which the others reach it. Beyond the loopback, CURVE is spoken.",
        ),
    ] = "127.0.0.1",
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="By default of machine and folder.", show_default=False)
    ] = "",
    attached: Attached = 0,
) -> None:
    """Run instances of a cluster's jobs on this machine, until SIGTERM or Ctrl-C; they go on without the agent.

    What they keep lies under $STREAMER_HOME (~/.streamer). An agent that is started again takes up those that it finds.
    """
    from streamer.cli.agent import AgentOptions, agent

    options = AgentOptions(_cluster(), name, capacity, advertise, attached)
    raise typer.Exit(agent(options))


def controller_command(
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="By default of machine and process.", show_default=False)
    ] = "",
    attached: Attached = 0,
) -> None:
    """Lead the jobs of a cluster, until SIGTERM or Ctrl-C.

    Start several: they share the jobs, and when one dies the others go on with its jobs within seconds. Instances
    run on meanwhile.
    """
    from streamer.cli.controller import controller

    raise typer.Exit(controller(_cluster(), name, attached=attached))


def _cluster() -> str:
    """Raises OptionError if none is named."""
    if not chosen_cluster():
        raise OptionError(
            "no cluster is named", remedy=f"Give the address of its Kafka: --kafka HOST:PORT, or {STREAMER_KAFKA}."
        )
    return chosen_cluster()
