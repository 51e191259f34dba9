"""The verbs of `streamer flows` and their options, as the command line shows them.

What they do is in `flows` and `flows_shown`, imported when one is used, as all commands are.
"""

from __future__ import annotations

from typing import Annotated

import typer

from streamer.cli.arguments import Job
from streamer.cli.on_kafka import OnKafka

flows_app = typer.Typer(
    name="flows", help="Show or change the flows of a job.", no_args_is_help=True, rich_markup_mode=None
)

AsJson = Annotated[bool, typer.Option("--json", help="Write the result to stdout as one line of JSON.")]


@flows_app.command("show", cls=OnKafka, short_help="Show the flows of a job, and who goes by them.")
def flows_show_command(job: Job, as_json: AsJson = False) -> None:
    """Show the flows that are in force in a job, all versions that are known, and the one that each instance takes.

    Versions that are alive have messages on their way. Those that are over can be gone back to.
    """
    from streamer.cli.flows_shown import show

    raise typer.Exit(show(job, as_json=as_json))


@flows_app.command("set", cls=OnKafka, short_help="Change the flows of a job that goes on.")
def flows_set_command(
    job: Job,
    flows: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME='A >> B'", help="Add or replace a flow; NAME= removes it. Others stay."),
    ] = None,
    default: Annotated[str, typer.Option("--default", metavar="NAME", help="The default flow from now on.")] = "",
    percent: Annotated[
        float | None,
        typer.Option(
            "--percent", metavar="N", help="Only this share of the new roots, 0 to 100: a canary.", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Change the flows of a job that goes on, and return when they are in force. Nothing is restarted.

    Every message goes on in the version of the flows in which it began, and what begins from now on takes this one:
    all of it, or with --percent a share. Without flows, --percent changes the share of the canary that is under way.
    """
    from streamer.cli.flows import change_flows

    raise typer.Exit(change_flows(job, flows or [], default, percent=percent, as_json=as_json))


@flows_app.command("promote", cls=OnKafka, short_help="Let all new roots take the canary.")
def flows_promote_command(job: Job, as_json: AsJson = False) -> None:
    """Let all new roots take the version of the flows that is a canary: as `flows set --percent 100`."""
    from streamer.cli.flows import promote

    raise typer.Exit(promote(job, as_json=as_json))


@flows_app.command("rollback", cls=OnKafka, short_help="Go back to the flows of before.")
def flows_rollback_command(
    job: Job,
    to: Annotated[
        int | None,
        typer.Option("--to", metavar="VERSION", min=1, help="To the flows of this version.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Go back to the flows before those in force, or to those of a version that `flows show` lists.

    They come into force as a new version. A canary ends: no new root takes it from the moment at which it is asked for.
    """
    from streamer.cli.flows import roll_back

    raise typer.Exit(roll_back(job, to, as_json=as_json))
