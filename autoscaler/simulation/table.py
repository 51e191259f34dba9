"""The table of criteria that `autoscaler simulate` prints: one line for each rule and trace, and the means over traces.

Columns that judge a rule come first: how much of the time messages were late, and at what cost. What explains them
comes after: missing and superfluous replicas, and how restless the rule was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from autoscaler.simulation.criteria import Criteria

Results = Mapping[str, Mapping[str, Criteria]]
"""By rule, then by trace."""
MEAN = "mean"
_HEADINGS = (
    "rule", "trace", "late %", "p99 s", "oracle ×", "reversals/h", "to settle", "decisions", "max",
    "under %", "over %", "under time %", "over time %",
)  # fmt: skip


def document(results: Results) -> dict[str, dict[str, object]]:
    return {rule: {trace: found.to_document() for trace, found in traces.items()} for rule, traces in results.items()}


def table(results: Results) -> str:
    rows = [list(_HEADINGS)]
    for rule, traces in results.items():
        rows += [[rule, trace, *_cells([found])] for trace, found in traces.items()]
        if len(traces) > 1:
            rows.append([rule, MEAN, *_cells(list(traces.values()))])
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _cells(found: Sequence[Criteria]) -> list[str]:
    """Means, and the largest of what is counted to its worst."""
    return [
        f"{100 * fmean(one.late_fraction for one in found):.2f}",
        f"{fmean(one.queueing_p99_s for one in found):.1f}",
        f"{fmean(one.oracle_ratio for one in found):.2f}",
        f"{fmean(one.reversals_per_hour for one in found):.1f}",
        str(max(one.decisions_to_settle for one in found)),
        f"{fmean(one.decisions for one in found):.0f}",
        str(max(one.max_replicas for one in found)),
        f"{100 * fmean(one.under for one in found):.1f}",
        f"{100 * fmean(one.over for one in found):.1f}",
        f"{100 * fmean(one.under_time for one in found):.1f}",
        f"{100 * fmean(one.over_time for one in found):.1f}",
    ]
