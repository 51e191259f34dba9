"""How often a controller looks at a job that it leads.

Most jobs go on as they are, and a hundred of them that are looked at twenty times a second are half a core. So a job is
looked at as often as a controller can only where something may be due: something has happened that decides anything, or
an instance waits for its next life. All else that comes with time alone is measured in seconds, and may be found late.
"""

from __future__ import annotations

from streamer.cluster_limits import AGENT_LOOK_S
from streamer.control.cluster.wire import facts_of
from streamer.control.events import Event, Reported, Ticked
from streamer.control.lifecycle import InstancePhase
from streamer.control.state import JobState

_IDLE_S = 0.25


def pause_s(state: JobState | None, *, active: bool) -> float:
    """Between two looks; `active` says whether anything may be due since the last one."""
    return AGENT_LOOK_S if active or state is None or _has_one_to_start(state) else _IDLE_S


def may_be_due_after(before: JobState | None, event: Event) -> bool:
    """Whether a tick may find something to do at once. Counters alone can wait for the next one of an idle job."""
    if isinstance(event, Reported):
        record = None if before is None else before.instances.get(event.sample.instance)
        last = None if record is None else record.sample
        return last is None or last.epoch != event.sample.epoch or facts_of(last) != facts_of(event.sample)
    return not isinstance(event, Ticked)


def _has_one_to_start(state: JobState) -> bool:
    return any(record.phase is InstancePhase.RESTARTING for record in state.instances.values())
