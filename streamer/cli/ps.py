"""`streamer ps` and `streamer status`: which jobs there are, and how one of them is doing.

Both read the control log and the pages of the instances, and ask nobody: they answer in the same way whether the job is
busy, hangs, or has ended a week ago. What they say may be a moment old.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import cast

from streamer.cli.exits import OK
from streamer.cli.jobs import facts_of, jobs_table, opened_jobs
from streamer.cli.output import account_table, json_line, say, table, terminal_width
from streamer.control.jobs import JobAccount
from streamer.control.records import InstanceLine, KeptJob
from streamer.protocol.keys import groups_of


def ps(*, ended_too: bool, as_json: bool) -> int:
    with opened_jobs() as jobs:
        rows = [facts_of(line) for line in jobs.lines() if ended_too or line.live]
    if as_json:
        say(json_line(rows))
    else:
        say(jobs_table(rows))
    return OK


def status(name: str, *, as_json: bool) -> int:
    with opened_jobs() as jobs:
        kept = jobs.find(name)
        account = jobs.account(kept)
    document = _document(kept, account)
    if as_json:
        say(json_line(document))
        return OK
    line = kept.line
    say(jobs_table([facts_of(line)]))
    say(f"\nfolder   {line.facts.folder}\nmetrics  {line.facts.metrics}")
    for node, url in line.addresses.items():
        say(f"gateway  {node}  {url}")
    if update := facts_of(line)["update"]:
        say(f"update   {update}")
    if line.error:
        say(f"error    {line.error}")
    if kept.instances:
        say("\n" + table(_columns(kept), _told(kept)))
    if account is not None:
        say("\n" + account_table(dataclasses.asdict(account), terminal_width(sys.stdout)))
    return OK


def _document(kept: KeptJob, account: JobAccount | None) -> dict[str, object]:
    facts = kept.line.facts
    return {
        **facts_of(kept.line),
        "generation": kept.line.generation,
        "error": kept.line.error,
        "folder": facts.folder,
        "metrics": facts.metrics,
        "gateways": dict(kept.line.addresses),
        "detached": facts.detached,
        "pinned": {node: pin for node, pin in kept.line.pins.items() if pin is not None},
        "instances": _instances(kept),
        "account": None if account is None else dataclasses.asdict(account),
    }


def _columns(kept: KeptJob) -> tuple[str, ...]:
    """Only those in which anything stands."""
    agents = ["agent"] if any(line.agent for line in kept.instances) else []
    return ("node", "instance", "state", "starts", *agents, *(["keyGroups"] if kept.line.partitions else []))


def _told(kept: KeptJob) -> list[dict[str, object]]:
    """For people: a run of groups as `0-127`, and who waits for a machine."""
    rows, waiting = _instances(kept), kept.waiting()
    return [
        {
            **row,
            "keyGroups": "-".join(map(str, cast("list[int]", row["keyGroups"]))),
            **({"state": "waits for a machine"} if row["instance"] in waiting else {}),
            **({"state": f"{row['state']}, machine silent"} if row["silent"] else {}),
        }
        for row in rows
    ]


def _instances(kept: KeptJob) -> list[dict[str, object]]:
    """`starts` counts the lives of an instance, `agent` is its machine in a cluster, and `silent`
    that nothing has been heard of this one for too long.

    `keyGroups` are the first and the last that it owns, if any."""
    return [
        {
            "node": line.node,
            "instance": line.instance,
            "state": str(line.phase),
            "starts": line.epoch - line.skipped,
            "generation": line.generation,
            "agent": line.agent,
            "silent": line.silent,
            "keyGroups": _key_groups(kept, line),
        }
        for line in kept.instances
    ]


def _key_groups(kept: KeptJob, line: InstanceLine) -> list[int]:
    """None of them while they are about to change hands."""
    partition = kept.line.partitions.get(line.node)
    owned = range(0) if partition is None or partition.paused else groups_of(line.index, partition.replicas)
    return [owned[0], owned[-1]] if owned else []
