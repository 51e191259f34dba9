"""A picture of simulations: load and capacity, replicas, and delay, one column for each trace and a line for each rule.

matplotlib is an extra and is imported when a picture is asked for, so that the figures need nothing but Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoscaler.simulation.world import World
from streamer.errors import SimulationError

SUFFIXES = (".png", ".svg")
_DELAY_SHOWN_MOST_S = 300.0


@dataclass(slots=True)
class Course:
    """What one simulation was like, second by second. `capacity` is what the slowest stage lets through, in messages
    per second of the source."""

    rate: list[float] = field(default_factory=list)
    capacity: list[float] = field(default_factory=list)
    replicas: list[int] = field(default_factory=list)
    delay_s: list[float] = field(default_factory=list)

    def observe(self, world: World, rate: float) -> None:
        self.rate.append(rate)
        self.capacity.append(
            min((state.capacity / state.unit_demand for state in world.scaled if state.unit_demand > 0), default=0.0)
        )
        self.replicas.append(sum(state.held for state in world.scaled))
        self.delay_s.append(min(_DELAY_SHOWN_MOST_S, world.queueing_s()))


Courses = Mapping[str, Mapping[str, Course]]
"""By rule, then by trace."""


def check(file: Path) -> None:
    """Raises SimulationError if no picture could be written to that file."""
    if file.suffix not in SUFFIXES:
        raise SimulationError(
            f"{file} is neither a PNG nor an SVG file", remedy=f"Let the file end in {' or '.join(SUFFIXES)}."
        )
    if not file.absolute().parent.is_dir():
        raise SimulationError(f"the folder of {file} does not exist", remedy="Name a file in a folder that exists.")
    _matplotlib()


def plot(courses: Courses, file: Path) -> None:
    matplotlib = _matplotlib()
    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    traces = list(next(iter(courses.values())))
    figure = Figure(figsize=(6.0 * len(traces), 9.0), layout="constrained")
    axes = figure.subplots(3, len(traces), squeeze=False, sharex="col")
    for column, trace in enumerate(traces):
        load, replicas, delay = axes[0][column], axes[1][column], axes[2][column]
        load.set_title(trace)
        load.plot(next(iter(courses.values()))[trace].rate, color="0.7", label="load")
        for rule, found in courses.items():
            load.plot(found[trace].capacity, label=f"capacity: {rule}")
            replicas.plot(found[trace].replicas, label=rule)
            delay.plot(found[trace].delay_s, label=rule)
        delay.set_xlabel("seconds")
    for row, name in enumerate(("messages/s", "replicas", "delay (s)")):
        axes[row][0].set_ylabel(name)
        axes[row][0].legend(fontsize="small")
    try:
        figure.savefig(file)
    except OSError as error:
        raise SimulationError(f"{file} cannot be written: {error.strerror or error}") from error


def _matplotlib() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise SimulationError(
            "a picture needs matplotlib, which is not installed",
            remedy="Install the extra: pip install 'streamer[plot]'; or leave --plot out.",
        ) from error
    return matplotlib
