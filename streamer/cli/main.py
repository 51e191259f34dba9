"""The `streamer` command: its verbs and options.

Verbs are a few lines that hand over to a module of their own, imported when the verb is used: a shell that completes
`streamer --help` must not wait for YAML and Prometheus. Plain help text is kept (typer could draw boxes), because it
is read in logs and narrow terminals as well.
"""

from __future__ import annotations

from typing import Annotated

import typer

from streamer.cli.arguments import Autoscale, CapacityList, Files, Inputs, Job, Settings
from streamer.cli.cluster_commands import add_cluster_commands
from streamer.cli.entry import enter
from streamer.cli.flow_commands import flows_app
from streamer.cli.letter_commands import dlq_app
from streamer.cli.on_kafka import OnKafka
from streamer.cli.output import say
from streamer.cli.update_command import update_command

app = typer.Typer(
    name="streamer",
    help="Run streaming pipelines of algorithms from their descriptors.",
    epilog="Exit codes: 0 completed or stopped in order, 1 the job failed or was ended at once, 2 bad input.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

app.add_typer(flows_app)

state_app = typer.Typer(
    name="state", help="Look at what the nodes of a job keep.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(state_app)
app.add_typer(dlq_app)
app.command("update", short_help="Change a job that goes on.", cls=OnKafka)(update_command)


@app.command("run", cls=OnKafka, short_help="Run a pipeline on this machine.")
def run_command(
    files: Files,
    settings: Settings = None,
    inputs: Inputs = None,
    duration: Annotated[
        str | None,
        typer.Option("--for", metavar="DURATION", help="Drain after this time: 500ms, 30s, 2m, 1h."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write the account to stdout as one line of JSON, all else to stderr.")
    ] = False,
    metrics_port: Annotated[
        int,
        typer.Option(
            "--metrics-port",
            min=0,
            max=65535,
            help="Serve Prometheus metrics at this port of 127.0.0.1 (0: a free one).",
        ),
    ] = 0,
    detach: Annotated[
        bool,
        typer.Option(
            "--detach", help='Return when every node is at work and print the job\'s id (--json: {"job"}); it goes on.'
        ),
    ] = False,
    autoscale: Autoscale = True,
    capacity: CapacityList = "",
) -> None:
    """Run a pipeline on this machine until it ends, Ctrl-C, or --for.

    Every instance of a node is a process of its own. On a terminal a live view is shown, otherwise a line every five
    seconds. Ctrl-C (or SIGTERM) drains: sources stop and what is in flight is finished; a second one ends at once.
    Then the account is printed: what became of every message, edge by edge.

    Stateless nodes have as many instances as their load needs, within minStatelessCount and maxStatelessCount: see
    explain.

    With --detach the job outlives the command and its terminal: see ps, status, logs, tap, scale and stop.

    With --kafka it is a job of a cluster, with an agent beside it on this machine, and a controller if none answers.

    State and logs lie under $STREAMER_HOME (~/.streamer).
    """
    from streamer.cli.durations import parse_duration_s
    from streamer.cli.run import RunOptions, run

    options = RunOptions(
        files=tuple(files),
        settings=tuple(settings or ()),
        inputs=tuple(inputs or ()),
        duration_s=None if duration is None else parse_duration_s(duration),
        as_json=as_json,
        metrics_port=metrics_port,
        detach=detach,
        autoscale=autoscale,
        capacity=capacity,
    )
    raise typer.Exit(run(options))


@app.command("ps", cls=OnKafka, short_help="List jobs.")
def ps_command(
    ended_too: Annotated[bool, typer.Option("--all", "-a", help="Also jobs that have ended.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write an array to stdout as one line of JSON.")] = False,
) -> None:
    """List the jobs that are going on: of a cluster, or of this user, below $STREAMER_HOME."""
    from streamer.cli.ps import ps

    raise typer.Exit(ps(ended_too=ended_too, as_json=as_json))


@app.command("status", cls=OnKafka, short_help="Show how a job is doing.")
def status_command(
    job: Job,
    as_json: Annotated[bool, typer.Option("--json", help="Write it to stdout as one line of JSON.")] = False,
) -> None:
    """Show how a job is doing: its instances, and the account as it is now."""
    from streamer.cli.ps import status

    raise typer.Exit(status(job, as_json=as_json))


@app.command("stop", cls=OnKafka, short_help="End a job.")
def stop_command(
    job: Job,
    now: Annotated[bool, typer.Option("--now", help="At once: what is in flight stays so in the account.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write the account to stdout as one line of JSON, all else to stderr.")
    ] = False,
) -> None:
    """End a job, and return when it has ended: sources stop, and what is in flight is finished. Prints the account."""
    from streamer.cli.stop import stop

    raise typer.Exit(stop(job, now=now, as_json=as_json))


@app.command("explain", cls=OnKafka, short_help="Say why nodes have the replicas that they have.")
def explain_command(
    job: Job,
    node: Annotated[str | None, typer.Argument(metavar="NODE", help="Only this node.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write it to stdout as one line of JSON.")] = False,
) -> None:
    """Say why the nodes of a job have the replicas that they have, since when, and what would make it more or fewer."""
    from streamer.cli.explain import explain

    raise typer.Exit(explain(job, node, as_json=as_json))


@app.command("resume", cls=OnKafka, short_help="Go on with a job that has failed.")
def resume_command(
    job: Job,
    as_json: Annotated[
        bool, typer.Option("--json", help='Write {"job"} to stdout as one line of JSON, all else to stderr.')
    ] = False,
) -> None:
    """Go on with a job that has failed, from where it stood, and return when every node is at work.

    It has its folder again: the positions of its sources, its state, and what was not settled, so nothing is lost or
    counted twice. Its algorithms are read anew: mend what has failed before. It goes on as a detached job, also if it
    was none. $STREAMER_HOME may have moved, or be a copy.

    On a cluster its instances start again on the machines where they were.
    """
    from streamer.cli.resume import resume

    raise typer.Exit(resume(job, as_json=as_json))


@app.command("logs", cls=OnKafka, short_help="Show what the instances of a job have printed.")
def logs_command(
    job: Job,
    node: Annotated[str | None, typer.Argument(metavar="NODE", help="Only this node, or this instance.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has ended, or Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write each line as a line of JSON.")] = False,
) -> None:
    """Show what the instances of a job have printed on this machine, each line with node and instance before it."""
    from streamer.cli.logs import logs

    raise typer.Exit(logs(job, node, follow=follow, as_json=as_json))


@app.command("tap", cls=OnKafka, short_help="Show the messages of an edge as they pass.")
def tap_command(
    job: Job,
    edge: Annotated[str, typer.Argument(metavar="SOURCE:TARGET", help="The two nodes of an edge.")],
    count: Annotated[
        int | None, typer.Option("-n", metavar="N", min=1, help="End after so many messages.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As always: each message is a line of JSON.")] = False,
) -> None:
    """Show the messages of an edge as they pass, each as a line of JSON, until Ctrl-C or the end of the job.

    They are copies: nothing is consumed, slowed down or reordered. Of an edge that is faster than they can be shown,
    only some are; what is delivered again is shown again. Bytes appear as {"$base64": "..."}.
    """
    from streamer.cli.tap import tap

    del as_json  # there is no other form
    raise typer.Exit(tap(job, edge, count=count))


@app.command("scale", cls=OnKafka, short_help="Set the replicas of a node.")
def scale_command(
    job: Job,
    node: Annotated[str, typer.Argument(metavar="NODE", help="A stateless node, or one with partitionBy.")],
    replicas: Annotated[str, typer.Argument(metavar="N|auto", help="Its replicas; auto releases the node again.")],
    as_json: Annotated[bool, typer.Option("--json", help="Write the result to stdout as one line of JSON.")] = False,
) -> None:
    """Pin the replicas of a node, and return when it has them. No message is lost by it.

    N stays within minStatelessCount and maxStatelessCount, or minReplicas and maxReplicas. `auto` gives the node back
    to the engine: without an autoscaler it returns to the replicas of its descriptor.
    """
    from streamer.cli.stop import scale

    raise typer.Exit(scale(job, node, replicas, as_json=as_json))


StateNode = Annotated[str, typer.Argument(metavar="NODE", help="A node that keeps state.")]


@state_app.command("ls", cls=OnKafka, short_help="List the states of a job's nodes.")
def state_ls_command(
    job: Job,
    node: Annotated[str | None, typer.Argument(metavar="NODE", help="Only this node.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write an array to stdout as one line of JSON.")] = False,
) -> None:
    """List the states of a job's nodes: their kinds, how many keys they have, and their size, as last committed."""
    from streamer.cli.state import ls

    raise typer.Exit(ls(job, node, as_json=as_json))


@state_app.command("get", cls=OnKafka, short_help="Show a state, or one key or field of it.")
def state_get_command(
    job: Job,
    node: StateNode,
    state: Annotated[str, typer.Argument(metavar="NAME", help="The state's name.")],
    key: Annotated[
        str | None, typer.Argument(metavar="KEY", help="JSON, or a plain word as text.", show_default=False)
    ] = None,
    field: Annotated[
        str | None,
        typer.Argument(
            metavar="FIELD", help="Of a map, as KEY; of a list, the place of an element.", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write each key as a line of JSON.")] = False,
) -> None:
    """Show what a state has for a key, or for each of its keys, as last committed. Values are shown as JSON."""
    from streamer.cli.state import get

    raise typer.Exit(get(job, node, state, key, field, as_json=as_json))


@state_app.command("export", cls=OnKafka, short_help="Write all entries of a node's state as lines of JSON.")
def state_export_command(
    job: Job,
    node: StateNode,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Only this state.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As always: each entry is a line of JSON.")] = False,
) -> None:
    """Write all entries of a node's state, as of one checkpoint, each as a line of JSON, while the job goes on."""
    from streamer.cli.state import export

    del as_json  # there is no other form
    raise typer.Exit(export(job, node, name))


@app.command("supervise", hidden=True)
def supervise_command(job: Job) -> None:
    """Stand behind a detached job. Commands start this by themselves."""
    from streamer.cli.supervise import supervise

    raise typer.Exit(supervise(job))


@app.command("validate", short_help="Check descriptors and print all findings.")
def validate_command(
    files: Files,
    as_json: Annotated[bool, typer.Option("--json", help="Write the findings to stdout as one line of JSON.")] = False,
) -> None:
    """Check descriptors and print every finding with its place and a remedy.

    Nothing is run or changed. The exit code is 0 without findings and 2 with some.
    """
    from streamer.cli.validate import validate

    raise typer.Exit(validate(tuple(files), as_json=as_json))


@app.command("graph", short_help="Draw a pipeline.")
def graph_command(
    files: Files,
    only_mermaid: Annotated[bool, typer.Option("--mermaid", help="Only the Mermaid text, for a document.")] = False,
    only_picture: Annotated[bool, typer.Option("--picture", help="Only the picture for the terminal.")] = False,
) -> None:
    """Draw a pipeline: as a picture for the terminal and as Mermaid text.

    An edge that closes a cycle ends in a reference to where it leads (↺ NODE); in Mermaid, edges of cycles are dotted.
    """
    from streamer.cli.graph import graph

    raise typer.Exit(graph(tuple(files), with_picture=not only_mermaid, with_mermaid=not only_picture))


add_cluster_commands(app)


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.", is_eager=True)] = False,
) -> None:
    if version:
        from streamer import __version__

        say(f"streamer {__version__}")
        raise typer.Exit


def main() -> None:
    """Entry point of the `streamer` command. Every error of ours becomes its message, its remedy and an exit code."""
    enter(app)
