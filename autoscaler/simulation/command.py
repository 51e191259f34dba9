"""What `autoscaler simulate` does: read its arguments, find every fault in them at once, simulate, and tell.

Rules and traces are independent of each other, so that every pair is one simulation and nothing is shared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from autoscaler.collect.web import OPEN, Access
from autoscaler.settings import DEFAULT, Settings
from autoscaler.simulation import plot, rules, traces
from autoscaler.simulation.criteria import Criteria
from autoscaler.simulation.experiment import Conditions, simulate
from autoscaler.simulation.layout import Figures, Layout, layout_of, three_stages
from autoscaler.simulation.table import document, table
from streamer.cli.output import json_line, say, tell
from streamer.connectors.installed import connector_tables
from streamer.descriptor.load import load
from streamer.errors import DescriptorError, SimulationError, StreamerError
from streamer.plan.compile import compile_plan

_T = TypeVar("_T")
_START_UP_S_MAX = 3600
_MU_ERROR_RANGE = (0.01, 100.0)


@dataclass(frozen=True, slots=True)
class SimulateOptions:
    """As they were typed. `rates` are NODE=MESSAGES, `selectivities` SOURCE:TARGET=FACTOR; `access` is to the server of
    a trace, `settings` are those of our own rule."""

    files: tuple[Path, ...] = ()
    trace: str = "all"
    rule: str = "all"
    start_up_s: int = 20
    seed: int = 1
    mu_error: float = 1.0
    rates: tuple[str, ...] = ()
    selectivities: tuple[str, ...] = ()
    access: Access = OPEN
    settings: Settings = DEFAULT
    as_json: bool = False
    picture: Path | None = None


def simulate_command(options: SimulateOptions) -> None:
    """Prints the table, or one line of JSON. Raises StreamerError that names all that is wrong with the options."""
    found = _Arguments(options)
    results: dict[str, dict[str, Criteria]] = {}
    courses: dict[str, dict[str, plot.Course]] = {}
    for name, maker in found.makers.items():
        for trace in found.traces:
            course = plot.Course()
            observe = course.observe if options.picture is not None else None
            criteria = simulate(found.layout, trace, maker(found.settings), found.conditions, observe)
            results.setdefault(name, {})[trace.name] = criteria
            courses.setdefault(name, {})[trace.name] = course
    if options.picture is not None:
        plot.plot(courses, options.picture)
        tell(f"{options.picture} shows {', '.join(results)}")
    say(json_line(document(results)) if options.as_json else table(results))


class _Arguments:
    """Parsed, all of them, before anything is refused."""

    def __init__(self, options: SimulateOptions) -> None:
        self._wrong: list[StreamerError] = []
        self.settings = options.settings
        self.traces = self._or(list[traces.Trace](), lambda: traces.traces(options.trace, options.access))
        self.makers = self._or(dict[str, rules.Maker](), lambda: rules.makers(options.rule))
        self.layout = self._or(three_stages(), lambda: _layout(options))
        self.conditions = self._or(Conditions(), lambda: _conditions(options))
        if options.picture is not None:
            picture = options.picture
            self._or(None, lambda: plot.check(picture))
        if len(self._wrong) == 1:
            raise self._wrong[0]
        if self._wrong:
            advice = dict.fromkeys(error.advice for error in self._wrong)
            raise SimulationError("\n".join(str(error) for error in self._wrong), remedy=" ".join(advice))

    def _or(self, default: _T, read: Callable[[], _T]) -> _T:
        try:
            return read()
        except StreamerError as error:
            self._wrong.append(error)
            return default


def _conditions(options: SimulateOptions) -> Conditions:
    least, most = _MU_ERROR_RANGE
    wrong = []
    if not 1 <= options.start_up_s <= _START_UP_S_MAX:
        wrong.append(f"--startup is {options.start_up_s}, and must be between 1 and {_START_UP_S_MAX} seconds")
    if not least <= options.mu_error <= most:
        wrong.append(f"--mu-error is {options.mu_error:g}, and must be between {least:g} and {most:g}")
    if wrong:
        raise SimulationError("\n".join(wrong))
    return Conditions(start_up_s=options.start_up_s, seed=options.seed, mu_error=options.mu_error)


def _layout(options: SimulateOptions) -> Layout:
    figures = _figures(options)
    if not options.files:
        if figures.rates or figures.selectivities:
            raise SimulationError("--rate and --selectivity speak of a pipeline, and none was named")
        return three_stages()
    loaded = load(options.files, connectors=connector_tables())
    if loaded.pipeline is None:
        raise DescriptorError("\n".join(str(finding) for finding in loaded.findings))
    return layout_of(compile_plan(loaded.pipeline, loaded.algorithms, folder=Path.cwd()), figures)


def _figures(options: SimulateOptions) -> Figures:
    wrong: list[str] = []
    rates = _amounts(options.rates, "--rate", "NODE=MESSAGES_PER_SECOND", wrong, above_zero=True)
    selectivities = _amounts(options.selectivities, "--selectivity", "SOURCE:TARGET=FACTOR", wrong, above_zero=False)
    edges = {}
    for edge, factor in selectivities.items():
        source, colon, target = edge.partition(":")
        if not colon:
            wrong.append(f"--selectivity {edge}={factor:g} names no edge: write SOURCE:TARGET=FACTOR")
        edges[source, target] = factor
    if wrong:
        raise SimulationError("\n".join(wrong))
    return Figures(rates, edges)


def _amounts(texts: Sequence[str], option: str, form: str, wrong: list[str], *, above_zero: bool) -> dict[str, float]:
    found: dict[str, float] = {}
    for text in texts:
        name, equals, amount = text.rpartition("=")
        try:
            value = float(amount)
        except ValueError:
            value = math.nan
        if not equals or not math.isfinite(value) or value < 0 or (above_zero and value == 0):
            wrong.append(f"{option} {text} cannot be read: write {form}")
        else:
            found[name] = value
    return found
