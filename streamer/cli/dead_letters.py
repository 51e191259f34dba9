"""`streamer dlq`: the messages of a job that were given up, looked at, sent in again, or deleted.

All four verbs mean letters in the same words (node, error, time, number). The store lies in the job's folder, so jobs
that have ended are served too; only to send letters in again somebody must be there who takes them. That is asked for
by the control log, as everything that people want of a job, and done when the store says that it is done.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from streamer import clock
from streamer.cli.durations import parse_duration_s
from streamer.cli.exits import FAILED, OK
from streamer.cli.jobs import LOOK_S, Jobs, nearest, opened_jobs
from streamer.cli.output import json_line, say, say_json, table, tell, terminal_width
from streamer.connectors.json_form import to_json
from streamer.control.hosts.home import DEAD_LETTERS_FILE
from streamer.control.lifecycle import InstancePhase
from streamer.control.records import KeptJob
from streamer.control.wishes import want_replay
from streamer.errors import NoSuchJobError, OptionError, ReplayError
from streamer.limits import REPLAY_S
from streamer.state.dead_letters import DeadLetters, KeptLetter
from streamer.state.letter_search import LetterSearch
from streamer.state.replays import Replays

_COLUMNS = ("number", "node", "flow", "reason", "attempts", "last", "error")
_ERROR_CHARS = 60
_NAMED_MAX = 5


def searched(
    numbers: Sequence[int] | None, node: str | None, error: str | None, since: str | None, until: str | None
) -> LetterSearch:
    """What is meant by these options. Raises OptionError."""
    return LetterSearch(
        node=node,
        error=error,
        since_s=None if since is None else _moment_s(since),
        until_s=None if until is None else _moment_s(until),
        numbers=tuple(numbers or ()),
    )


def _moment_s(text: str) -> float:
    """A time of day as people write it (UTC unless it says otherwise), or a span before now. Raises OptionError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            return clock.wall() - parse_duration_s(text)
        except OptionError as error:
            raise OptionError(
                f"{text!r} is no time",
                remedy="Write 2026-01-31T12:00 (UTC), 2026-01-31T12:00+02:00, or a time before now, such as 10m.",
            ) from error
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def list_letters(name: str, search: LetterSearch, *, as_json: bool) -> int:
    with _opened(name, search) as (_, kept, letters):
        found = letters.find(search, messages=False)
        replayed = Replays(letters).counts()
    counts = Counter(one.letter.target for one in found)
    if as_json:
        document = {
            "job": kept.job,
            "letters": [_facts(one) for one in found],
            "counts": dict(counts),
            "replayed": replayed,
        }
        say(json_line(document))
        return OK
    if found:
        say(table(_COLUMNS, [_row(one) for one in found]) + "\n")
    by_node = ", ".join(f"{node} {count}" for node, count in counts.items())
    say(f"{_many(len(found))}{f' ({by_node})' if by_node else ''}, {sum(replayed.values())} replayed")
    return OK


def show(name: str, search: LetterSearch, *, as_json: bool) -> int:
    with _opened(name, search) as (_, _, letters):
        for one in letters.find(search):
            if as_json:
                say_json(_json(one))
            else:
                say(_page(one))
    return OK


def purge(name: str, search: LetterSearch, *, as_json: bool) -> int:
    with _opened(name, search) as (_, kept, letters):
        purged = letters.purge(search)
    say(json_line({"job": kept.job, "purged": purged}) if as_json else f"{_many(purged)} purged")
    return OK


def replay(name: str, search: LetterSearch, *, current_flows: bool, as_json: bool) -> int:
    with _opened(name, search) as (jobs, kept, letters):
        wanted = _wanted(kept, letters, search, current_flows=current_flows)
        replays = Replays(letters)
        replays.want(wanted, current_flows=current_flows)
        for node in dict.fromkeys(wanted.values()):
            want_replay(jobs.log, kept.job, node)
        deadline = clock.now() + REPLAY_S
        while (left := replays.under_way(wanted)) and kept.line.live and clock.now() < deadline:
            time.sleep(LOOK_S)
            kept = jobs.later(kept)
        again = letters.count(LetterSearch(numbers=tuple(wanted))) - left if wanted else 0
    return _told(kept, len(wanted) - again - left, again, left, as_json=as_json)


def _told(kept: KeptJob, replayed: int, again: int, left: int, *, as_json: bool) -> int:
    if as_json:
        say(json_line({"job": kept.job, "replayed": replayed, "failed_again": again, "under_way": left}))
    else:
        say(f"{_many(replayed)} replayed{f', {again} failed again' if again else ''}")
    if left:
        tell(f"{_many(left)} not done yet: job {kept.job} is {kept.line.status}")
    return FAILED if again or left else OK


def _wanted(kept: KeptJob, letters: DeadLetters, search: LetterSearch, *, current_flows: bool) -> dict[int, str]:
    """Numbers and nodes of the letters that can be sent in again. Raises ReplayError if any that is meant cannot be."""
    if not kept.line.live:
        raise ReplayError(
            f"job {kept.job} is {kept.line.status}: nobody is there who could take its dead letters",
            remedy="Read their messages by `streamer dlq show JOB --json`, and send them into another job.",
        )
    found = [one for one in letters.find(search, messages=False) if one.state == "dead"]
    if search.numbers:
        no_way = [one for one in found if not one.letter.replayable]
        _refuse(no_way, "no node could be given what could not be read, or what came by flows that nobody knows")
    found = [one for one in found if one.letter.replayable]
    over = {line.node for line in kept.instances if line.phase is InstancePhase.COMPLETED}
    _refuse([one for one in found if one.letter.target in over], "their node has come to its end")
    if current_flows:
        flows = {(route.flow, route.node) for route in kept.plan.routes.routes}
        lost = [one for one in found if (one.letter.flow, one.letter.target) not in flows]
        _refuse(lost, "in the flows of now, their flow does not come to their node")
    else:
        alive = {version.number for version in kept.plan.versions}
        _refuse(
            [one for one in found if one.letter.version not in alive],
            "the version of the flows that they had is over",
            remedy="Give --current-flows: then they go on as the flows say now.",
        )
    return {one.number: one.letter.target for one in found}


def _refuse(letters: Sequence[KeptLetter], why: str, *, remedy: str | None = None) -> None:
    if letters:
        names = ", ".join(str(one.number) for one in letters[:_NAMED_MAX])
        more = f" and {len(letters) - _NAMED_MAX} more" if len(letters) > _NAMED_MAX else ""
        raise ReplayError(f"dead letters {names}{more} cannot be sent in again: {why}", remedy=remedy)


@contextmanager
def _opened(name: str, search: LetterSearch) -> Iterator[tuple[Jobs, KeptJob, DeadLetters]]:
    """The store of the job that is meant. Raises NoSuchJobError, and StateError for a store that is none of ours."""
    with opened_jobs() as jobs:
        kept = jobs.find_here(name)
        if search.node is not None and search.node not in kept.plan.nodes:
            raise NoSuchJobError(
                f"pipeline {kept.line.facts.pipeline} has no node {search.node}"
                f"{nearest(search.node, list(kept.plan.nodes))}",
                remedy=f"Its nodes are {', '.join(kept.plan.nodes)}.",
            )
        letters = DeadLetters(Path(kept.line.facts.folder) / DEAD_LETTERS_FILE)
        try:
            if not kept.line.live:
                Replays(letters).release()
            _check_numbers(kept, letters, search)
            yield jobs, kept, letters
        finally:
            letters.close()


def _check_numbers(kept: KeptJob, letters: DeadLetters, search: LetterSearch) -> None:
    """Raises ReplayError for a number that no letter has."""
    if search.numbers:
        there = letters.find(LetterSearch(numbers=search.numbers), messages=False)
        gone = sorted(set(search.numbers) - {one.number for one in there})
        if gone:
            raise ReplayError(
                f"job {kept.job} has no dead letter {', '.join(map(str, gone))}",
                remedy=f"`streamer dlq list {kept.job}` shows those that it has.",
            )


# -- forms -----------------------------------------------------------------------------------------------------------


def _many(count: int) -> str:
    return f"{count} dead letter{'' if count == 1 else 's'}"


def _time(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _facts(one: KeptLetter) -> dict[str, object]:
    """What scripts read of a letter: a contract."""
    letter = one.letter
    return {
        "number": one.number,
        "node": letter.target,
        "flow": letter.flow,
        "version": letter.version,
        "source": letter.source,
        "reason": letter.reason,
        "error": letter.error,
        "attempts": letter.attempts,
        "first": _time(one.first_s),
        "last": _time(letter.time_s),
        "instance": letter.instance,
        "id": letter.message_id,
        "replays": one.replays,
        "state": one.state,
    }


def _row(one: KeptLetter) -> dict[str, object]:
    error = " ".join(one.letter.error.split())
    width = (terminal_width(sys.stdout) or 0) // 2 or _ERROR_CHARS
    shown = error if len(error) <= width else error[: width - 3] + "..."
    return {**_facts(one), "error": shown, "flow": one.letter.flow or "-"}


def _json(one: KeptLetter) -> str:
    """The message by itself, since any may have a form that JSON's own encoder does not know."""
    facts = json_line({**_facts(one), "traceback": one.letter.traceback})
    return f'{facts[:-1]}, "headers": {to_json(one.headers)}, "message": {to_json(one.letter.message)}}}'


def _page(one: KeptLetter) -> str:
    facts = _facts(one)
    lines = [f"letter {one.number}"]
    lines += [f"  {name:<9}{value}" for name, value in facts.items() if name not in ("number", "error")]
    if one.headers:
        lines.append(f"  headers  {to_json(one.headers)}")
    lines.append(f"  message  {to_json(one.letter.message)}")
    told = one.letter.traceback.rstrip("\n") or one.letter.error
    lines += [f"    {line}" for line in told.splitlines()]
    return "\n".join(lines) + "\n"
