"""The verbs of `streamer dlq` and their options, as the command line shows them.

They search for letters in the same words, so these stand here once; what the verbs do is in `dead_letters`, imported
when one is used, as all commands are.
"""

from __future__ import annotations

from typing import Annotated

import typer

from streamer.cli.arguments import Job
from streamer.cli.on_kafka import OnKafka

dlq_app = typer.Typer(
    name="dlq",
    help="Show the dead letters of a job, send them in again, or delete them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Letters = Annotated[
    list[int] | None,
    typer.Argument(metavar="NUMBER", min=1, help="Only these letters, by number.", show_default=False),
]
OfNode = Annotated[str | None, typer.Option("--node", metavar="NODE", help="Only letters of messages for this node.")]
WithError = Annotated[str | None, typer.Option("--error", metavar="TEXT", help="Only those whose error has this text.")]
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help="Only failures since: 2026-01-31T12:00, or 10m (ago)."),
]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Only failures until.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write the result to stdout as one line of JSON.")]


@dlq_app.command("list", cls=OnKafka, short_help="List the dead letters of a job.")
def dlq_list_command(
    job: Job,
    numbers: Letters = None,
    node: OfNode = None,
    error: WithError = None,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """List the messages of a job that were given up, the oldest first, and count them by node."""
    from streamer.cli.dead_letters import list_letters, searched

    raise typer.Exit(list_letters(job, searched(numbers, node, error, since, until), as_json=as_json))


@dlq_app.command("show", cls=OnKafka, short_help="Show dead letters with message and traceback.")
def dlq_show_command(
    job: Job,
    numbers: Letters = None,
    node: OfNode = None,
    error: WithError = None,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """Show dead letters whole: message, headers, route, error and traceback. With --json each is a line."""
    from streamer.cli.dead_letters import searched, show

    raise typer.Exit(show(job, searched(numbers, node, error, since, until), as_json=as_json))


@dlq_app.command("replay", cls=OnKafka, short_help="Send dead letters in again.")
def dlq_replay_command(
    job: Job,
    numbers: Letters = None,
    node: OfNode = None,
    error: WithError = None,
    since: Since = None,
    until: Until = None,
    current_flows: Annotated[
        bool,
        typer.Option("--current-flows", help="Under the flows of now, and not under the version that each had."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Send dead letters of a live job in again, each at the node where it failed, and return when they are done.

    What is handled is gone from the store, and what fails again stays there.
    """
    from streamer.cli.dead_letters import replay, searched

    search = searched(numbers, node, error, since, until)
    raise typer.Exit(replay(job, search, current_flows=current_flows, as_json=as_json))


@dlq_app.command("purge", cls=OnKafka, short_help="Delete dead letters.")
def dlq_purge_command(
    job: Job,
    numbers: Letters = None,
    node: OfNode = None,
    error: WithError = None,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """Delete dead letters, all of them or those that are searched for, and say how many they were."""
    from streamer.cli.dead_letters import purge, searched

    raise typer.Exit(purge(job, searched(numbers, node, error, since, until), as_json=as_json))
