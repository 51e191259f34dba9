"""The machines of a cluster as a controller sees them, and which of them an instance is given to.

Instances of a node are spread: of the machines with room, the one with the fewest of them, then the one with the
smallest share in use. The loss of a machine then takes as little of a node as possible. What several controllers place
at the same moment may overfill a machine for as long as it takes to be told, which slows things down and loses nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from streamer.cluster_limits import (
    AGENT_DEAF_S,
    AGENT_GONE_S,
    AGENT_RETURNS_S,
)
from streamer.control.cluster.wire import Beat
from streamer.control.records import JobFacts
from streamer.control.state import InstanceRecord, JobState
from streamer.descriptor.resources import NOTHING, Needs


@dataclass(slots=True)
class _Seen:
    beat: Beat
    at: float


class Agents:
    """Whoever listens hears himself too: what nobody hears is no silence of the others.

    So an agent is gone once our own words have come for `AGENT_GONE_S` and its have not; while no broker is there,
    nobody is gone, and after that everybody has time to come back to the brokers. `clock` is this controller's own:
    what others' clocks say is not compared.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since = self._heard_at = clock()
        self._patient_until = self._since + AGENT_GONE_S
        self._seen: dict[str, _Seen] = {}

    def heard_ourselves(self) -> None:
        now = self._clock()
        if now - self._heard_at > AGENT_DEAF_S:
            self._patient_until = now + AGENT_RETURNS_S
        self._heard_at = now

    def heard(self, beat: Beat) -> None:
        self._seen[beat.agent] = _Seen(beat, self._clock())

    def there(self) -> Mapping[str, Beat]:
        """Those that are not gone."""
        return {name: seen.beat for name, seen in self._seen.items() if not self.is_gone(name)}

    def is_gone(self, agent: str) -> bool:
        """Whether it was silent for too long, as far as this controller has listened."""
        if self._heard_at < self._patient_until:
            return False
        seen = self._seen.get(agent)
        return self._heard_at - (self._since if seen is None else seen.at) >= AGENT_GONE_S

    def is_lost(self, agent: str) -> bool:
        """Whether it was silent for so long that one which is started again would have been heard."""
        seen = self._seen.get(agent)
        silent_s = self._heard_at - (self._since if seen is None else seen.at)
        return self.is_gone(agent) and silent_s >= AGENT_RETURNS_S

    def is_shared(self, agent: str) -> bool:
        """Whether one that is there has the same folder of jobs."""
        seen = self._seen.get(agent)
        return seen is not None and any(
            beat.home == seen.beat.home for name, beat in self.there().items() if name != agent
        )


def used_by(states: Iterable[JobState]) -> dict[str, Needs]:
    """What instances of these jobs ask for, by agent."""
    used: dict[str, Needs] = {}
    for state in states:
        for record in state.instances.values():
            if record.agent and not record.phase.gone:
                used[record.agent] = used.get(record.agent, NOTHING).plus(state.node_of(record).needs)
    return used


def for_job(there: Mapping[str, Beat], facts: JobFacts) -> Mapping[str, Beat]:
    """The agents that take instances of this job: that of its `run`, or all that belong to none."""
    return {name: beat for name, beat in there.items() if (name == facts.run_by if facts.run_by else not beat.of_run)}


def chosen(
    there: Mapping[str, Beat], used: Mapping[str, Needs], state: JobState, record: InstanceRecord
) -> tuple[str | None, str]:
    """The agent for this instance; or None, and what is missing. One that was on a machine before goes there first."""
    needed = state.node_of(record).needs
    beside = Counter(r.agent for r in state.instances.values() if r.node == record.node and not r.phase.gone)
    best: tuple[bool, int, float, str] | None = None
    lacking: list[str] = []
    for name, beat in there.items():
        load = _larger(beat.used, used.get(name, NOTHING))
        if missing := beat.capacity.lacks(load, needed):
            lacking.append(f"{name} has not enough {', '.join(missing)}")
            continue
        rank = (name != record.was_on, beside[name], beat.capacity.share(load), name)
        best = rank if best is None else min(best, rank)
    if best is not None:
        return best[-1], ""
    return None, "; ".join(lacking) or "no agent is there"


def _larger(one: Needs, other: Needs) -> Needs:
    """Of each the larger: what was just placed may not be in use yet, and what others placed is not known here."""
    return Needs(
        max(one.cpu, other.cpu),
        max(one.gpu, other.gpu),
        max(one.mem, other.mem),
        max(one.instances, other.instances),
        {
            kind: max(one.kinds.get(kind, 0.0), other.kinds.get(kind, 0.0))
            for kind in dict.fromkeys((*one.kinds, *other.kinds))
        },
    )
