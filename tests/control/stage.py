"""A job on a stage: events go to the controller by short names, time is a number, what it wants done is kept."""

from __future__ import annotations

from streamer.control.events import (
    Ask,
    Asked,
    Effect,
    Event,
    Exited,
    JobSubmitted,
    KillInstance,
    Reported,
    SendCommand,
    StartInstance,
    Ticked,
)
from streamer.control.lifecycle import InstancePhase, JobPhase
from streamer.control.state import InstanceRecord, JobState
from streamer.control.step import step
from streamer.metrics.samples import EdgeSample, InstanceSample, InstanceState
from streamer.plan.assignment import Peers, Verb, Wiring
from streamer.plan.compile import Plan


class Stage:
    """`now` moves only by `later`; `done` are the effects of the last call."""

    def __init__(self, plan: Plan) -> None:
        self.now = 100.0
        self.done: tuple[Effect, ...] = ()
        self._state: JobState | None = None
        self.take(JobSubmitted("job", plan))

    @property
    def state(self) -> JobState:
        assert self._state is not None
        return self._state

    def go_on_from(self, state: JobState) -> None:
        """What another controller has left."""
        self._state = state

    def phase(self) -> JobPhase:
        return self.state.phase

    def record(self, instance: str) -> InstanceRecord:
        return self.state.instances[instance]

    def phases(self) -> dict[str, InstancePhase]:
        return {name: record.phase for name, record in self.state.instances.items()}

    def take(self, event: Event) -> tuple[Effect, ...]:
        self._state, self.done = step(self._state, event, self.now)
        return self.done

    def tick(self) -> tuple[Effect, ...]:
        return self.take(Ticked())

    def later(self, seconds: float) -> tuple[Effect, ...]:
        self.now += seconds
        return self.tick()

    def says(
        self,
        instance: str,
        state: InstanceState = InstanceState.RUNNING,
        *,
        epoch: int | None = None,
        completed: int = 0,
        received: int = 0,
        busy_s: float = 0.0,
        quiet: bool = False,
        exhausted: bool = False,
        endpoint: str | None = None,
        last_error: str = "",
        edges: tuple[EdgeSample, ...] = (),
        wiring: int | None = None,
        oldest_version: int | None = None,
        ownership: int = 0,
    ) -> None:
        """It knows the wiring that it knew before, and holds nothing of older versions, if nothing else is said."""
        record = self.record(instance)
        self.take(
            Reported(
                InstanceSample(
                    instance,
                    record.node,
                    epoch or record.epoch,
                    state,
                    endpoint=f"tcp://{instance}" if endpoint is None else endpoint,
                    received=received,
                    busy_s=busy_s,
                    completed=completed,
                    quiet=quiet,
                    exhausted=exhausted,
                    last_error=last_error,
                    edges=edges,
                    wiring=record.wired if wiring is None else wiring,
                    oldest_version=self.state.plan.current.number if oldest_version is None else oldest_version,
                    ownership=ownership,
                )
            )
        )

    def all_say(self, state: InstanceState) -> None:
        for instance in self.state.instances:
            self.says(instance, state)

    def exits(
        self,
        instance: str,
        code: int = 0,
        *,
        epoch: int | None = None,
        output: tuple[str, ...] = (),
        completed: int = 0,
        cannot_open: bool = False,
        handler_error: str = "",
        renewed: bool = False,
    ) -> tuple[Effect, ...]:
        epoch = epoch or self.record(instance).epoch
        return self.take(
            Exited(
                instance,
                epoch,
                code,
                output,
                completed,
                cannot_open=cannot_open,
                handler_error=handler_error,
                renewed=renewed,
            )
        )

    def dies(self, instance: str, *, completed: int = 0) -> tuple[Effect, ...]:
        return self.exits(instance, -9, completed=completed)

    def completes(self, instance: str) -> None:
        self.says(instance, InstanceState.ENDED)
        self.exits(instance)

    def is_restarted_after(self, seconds: float, instance: str) -> bool:
        """Whether it is started at this time from now, and not a moment before it."""
        early = self.starts(self.later(seconds - 0.001))
        return instance not in early and instance in self.starts(self.later(0.002))

    def drain(self) -> tuple[Effect, ...]:
        return self.take(Asked(Ask.DRAIN))

    def kill(self) -> tuple[Effect, ...]:
        return self.take(Asked(Ask.KILL))

    def starts(self, effects: tuple[Effect, ...] | None = None) -> dict[str, StartInstance]:
        chosen = self.done if effects is None else effects
        return {effect.instance: effect for effect in chosen if isinstance(effect, StartInstance)}

    def kills(self) -> set[str]:
        return {effect.instance for effect in self.done if isinstance(effect, KillInstance)}

    def told(self, verb: Verb) -> set[str]:
        """Instances that the last call told this."""
        return {e.instance for e in self.done if isinstance(e, SendCommand) and e.command.verb is verb}

    def wirings(self) -> dict[str, Wiring]:
        """Wirings that the last call told, by instance."""
        return {
            effect.instance: effect.command.wiring
            for effect in self.done
            if isinstance(effect, SendCommand) and effect.command.wiring is not None
        }

    def peers(self) -> dict[str, Peers]:
        """Peers that the last call told, by instance."""
        return {
            effect.instance: effect.command.peers
            for effect in self.done
            if isinstance(effect, SendCommand) and effect.command.peers is not None
        }
