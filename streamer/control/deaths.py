"""What a death means: when to start again, when to give up, and what to say about it.

A process that cannot live must not be started for ever, and one that dies now and then but works between must never be
given up. So deaths are counted only while nothing gets done: one message settled or dead-lettered clears the count. A
dead letter counts also where the instance itself never said so: a message that kills its handler is dead-lettered by
the instance that sent it, and after that the next life can go on.
"""

from __future__ import annotations

import dataclasses
import signal

from streamer import limits
from streamer.control.events import NOT_STARTED, UNSEEN, Exited
from streamer.control.state import InstanceRecord, JobState

_TRACEBACK = "Traceback (most recent call last):"
_CHAINED = (
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
)
_LINES_TOLD = 10


def after_death(state: JobState, record: InstanceRecord, exit_: Exited) -> InstanceRecord:
    """The record with this death counted in; `restart_at` is set whether or not it will be started again."""
    dead_lettered = dead_lettered_into(state, record.node)
    progressed = (
        record.progressed or exit_.completed > record.completed_before or dead_lettered > record.dead_lettered_before
    )
    quick = record.exited_at - record.started_at < limits.CRASH_LOOP_LIFE_S
    deaths = 1 if progressed else record.deaths + 1
    return dataclasses.replace(
        record,
        deaths=deaths,
        quick_deaths=record.quick_deaths + 1 if quick and not progressed else 0,
        restart_at=record.exited_at + restart_delay_s(deaths),
        completed_before=max(record.completed_before, exit_.completed),
        dead_lettered_before=dead_lettered,
    )


def restart_delay_s(deaths: int) -> float:
    """0.1 s, doubled with each further death in a row, up to 5 s."""
    doublings = min(deaths - 1, 16)  # past the limit anyway, and 2**deaths would outgrow a float
    return min(limits.RESTART_DELAY_S * 2.0**doublings, limits.RESTART_DELAY_MAX_S)


def is_crash_loop(record: InstanceRecord) -> bool:
    return record.quick_deaths >= limits.CRASH_LOOP_DEATHS


def dead_lettered_into(state: JobState, node: str) -> int:
    """Messages on their way into `node` that its parents have dead-lettered, as far as they have reported it."""
    return sum(
        edge.dead_lettered
        for record in state.instances.values()
        if record.sample is not None
        for edge in record.sample.edges
        if edge.target == node
    )


def crash_loop_error(record: InstanceRecord, exit_: Exited) -> str:
    """What a person reads when a job fails because an instance cannot live."""
    return (
        f"node {record.node}: instance {record.instance} died {record.quick_deaths} times in a row, each within "
        f"{limits.CRASH_LOOP_LIFE_S:g} s of its start and with nothing done; the last time {describe_code(exit_.code)}"
        f"{last_words(record, exit_)}"
    )


def handler_error(record: InstanceRecord, exit_: Exited) -> str:
    told = exit_.handler_error.rstrip("\n")
    return f"node {record.node}: the handler of instance {record.instance} has failed, and onError says: stop\n{told}"


def cannot_open_error(record: InstanceRecord, exit_: Exited) -> str:
    return f"node {record.node}: instance {record.instance} cannot begin{last_words(record, exit_)}"


def describe_code(code: int) -> str:
    """`by signal SIGKILL`, or `with exit code 1`."""
    if code == UNSEEN:
        return "with an exit code that nobody saw"
    if code >= 0:
        return f"with exit code {code}"
    try:
        return f"by signal {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"


def is_its_own(exit_: Exited) -> bool:
    """Whether what runs in the instance has brought this death about, and not somebody or something beside it."""
    return exit_.code not in (-signal.SIGKILL, UNSEEN, NOT_STARTED)


def last_words(record: InstanceRecord, exit_: Exited) -> str:
    """What it has said of its death, for the end of a sentence."""
    told = last_error(exit_.output) or (record.sample.last_error.strip() if record.sample is not None else "")
    return f":\n{told}" if told else " and left no message"


def last_error(output: tuple[str, ...]) -> str:
    """The last traceback, with its causes and what follows it; without one, the last few lines."""
    lines = [line.rstrip() for line in output]
    starts = [index for index, line in enumerate(lines) if line.lstrip().startswith(_TRACEBACK)]
    if not starts:
        return "\n".join(lines[-_LINES_TOLD:]).strip("\n")
    start = starts.pop()
    while starts and any(line.strip() in _CHAINED for line in lines[starts[-1] : start]):
        start = starts.pop()
    return "\n".join(lines[start:]).strip("\n")
