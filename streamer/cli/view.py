"""The live view of a job in a terminal: edges, nodes and flows, redrawn four times a second.

It lives on stderr, because stdout may carry records or JSON, and below the lines that algorithms print: those are
collected and put above it in one write, so that neither tears the other. A screen of its own (as `top` has) would
hide what algorithms print and leave nothing behind. Where the terminal is too low for all rows, the rest is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from streamer.cli.durations import format_elapsed, format_latency
from streamer.cli.figures import EdgeFigures, Figures, FlowFigures, History, NodeFigures
from streamer.control.jobs import JobSnapshot

Row = TypeVar("Row")

INTERVAL_S = 0.25
_RATE_SPAN_S = 3.0
_LINES_MAX = 500
"""Lines of algorithms shown between two pictures: more cannot be read, and drawing them would delay the controller."""
_FIXED_LINES = 8
"""Title, footer, three table headings, and the blank lines between."""
_NAME_WIDTH_MIN = 16
_NUMBER_WIDTH_MIN = 5
_EDGE_NUMBERS_WIDTH = 59
"""What the numbers of an edge take at most, their gaps included; the names have the rest."""
_NODE_NUMBERS_WIDTH = 58
"""The same for a node, with room for two states."""
_STYLE_OF_STATE = {"running": "green", "dead": "red", "restarting": "red", "starting": "yellow", "draining": "yellow"}


class LiveView:
    """Shows snapshots on the terminal of `console` until it is closed."""

    def __init__(self, console: Console, footer: str) -> None:
        self._history = History(_RATE_SPAN_S)
        self._console = console
        self._footer = footer
        self._lines: list[Text] = []
        self._unshown = 0
        self._drawn_s = -INTERVAL_S
        self._live = Live(
            console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )
        self._live.start()

    def show(self, snapshot: JobSnapshot) -> None:
        self._history.add(snapshot)
        self._flush()
        if snapshot.elapsed_s - self._drawn_s >= INTERVAL_S:
            self._drawn_s = snapshot.elapsed_s
            width, height = self._console.size
            self._live.update(render(self._history.figures(), width, height, self._footer), refresh=True)

    def output(self, node: str, instance: str, line: str) -> None:
        if len(self._lines) >= _LINES_MAX:
            self._unshown += 1
            return
        # from_ansi keeps colours and takes out what would move the cursor.
        self._lines.append(Text.assemble((f"{node} {instance} | ", "dim"), Text.from_ansi(line)))

    def notice(self, text: str) -> None:
        self._lines.append(Text(text, style="yellow"))

    def close(self) -> None:
        self._flush()
        self._live.stop()

    def _flush(self) -> None:
        if self._unshown:
            self._lines.append(Text(f"and {self._unshown:,} more lines, in the logs", style="yellow"))
            self._unshown = 0
        if self._lines:
            self._console.print(Text("\n").join(self._lines), soft_wrap=True)
            self._lines.clear()


def render(figures: Figures, width: int, height: int, footer: str) -> RenderableType:
    """All that fits into `height` lines; edges and nodes share what the fixed lines and the flows leave."""
    flows = figures.flows[: max(1, height // 6)]
    free = max(2, height - _FIXED_LINES - len(flows) - 1)
    edge_rows, node_rows = _shares(len(figures.edges), len(figures.nodes), free)
    return Group(
        _title(figures, width),
        Text(),
        _edge_table(figures.edges, edge_rows, max(_NAME_WIDTH_MIN, width - _EDGE_NUMBERS_WIDTH)),
        Text(),
        _node_table(figures.nodes, node_rows, max(_NAME_WIDTH_MIN, width - _NODE_NUMBERS_WIDTH)),
        Text(),
        _flow_table(flows, len(figures.flows), width // 2),
        Text(footer[:width], style="dim"),
    )


def _shares(edges: int, nodes: int, free: int) -> tuple[int, int]:
    """Rows for edges and for nodes: what one does not need goes to the other."""
    if edges + nodes <= free:
        return edges, nodes
    half = free // 2
    if edges <= half:
        return edges, free - edges
    if nodes <= half:
        return free - nodes, nodes
    return half, free - half


def _title(figures: Figures, width: int) -> Text:
    title = Text.assemble(
        (figures.pipeline, "bold"),
        f"  job {figures.job}  ",
        (figures.status, "green" if figures.status == "running" else "yellow"),
        f"  {format_elapsed(figures.elapsed_s)}  in {figures.intake_per_s:,.0f}/s  out {figures.outcome_per_s:,.0f}/s",
    )
    title.truncate(width, overflow="ellipsis")
    return title


def _edge_table(edges: Sequence[EdgeFigures], rows: int, name_width: int) -> Table:
    table = _table(name_width, "edge", "msg/s", "backlog", "bytes", "in flight", "dropped", "dead", "again")
    shown, hidden = _cut(edges, rows)
    for edge in shown:
        table.add_row(
            edge_name(edge.source, edge.target, name_width),
            _count(edge.sent_per_s),
            _count(edge.backlog_messages),
            _bytes(edge.backlog_bytes),
            _count(edge.in_flight),
            _trouble(edge.dropped),
            _trouble(edge.dead_lettered),
            _trouble(edge.redelivered),
        )
    if hidden:
        table.add_row(Text(f"and {hidden} more edges", style="dim"))
    return table


def _node_table(nodes: Sequence[NodeFigures], rows: int, name_width: int) -> Table:
    table = _table(name_width, "node", "msg/s", "busy", "failed", "restarts", "instances")
    table.columns[-1].justify = "left"
    shown, hidden = _cut(nodes, rows)
    for node in shown:
        table.add_row(
            Text(node.node, no_wrap=True, overflow="ellipsis"),
            _count(node.received_per_s),
            f"{node.busy:.0%}",
            _trouble(node.failed),
            _trouble(node.restarts),
            _states(node),
        )
    if hidden:
        table.add_row(Text(f"and {hidden} more nodes", style="dim"))
    return table


def _flow_table(flows: Sequence[FlowFigures], total: int, name_width: int) -> Table:
    table = _table(name_width, "flow, end to end", "p50", "p99")
    for flow in flows:
        table.add_row(
            Text(flow.flow, no_wrap=True, overflow="ellipsis"), format_latency(flow.p50_s), format_latency(flow.p99_s)
        )
    if total > len(flows):
        table.add_row(Text(f"and {total - len(flows)} more flows", style="dim"))
    return table


def _table(name_width: int, *headings: str) -> Table:
    """Names to the left, as wide as they need up to `name_width`, so that no column of numbers is pushed out."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    table.add_column(headings[0], min_width=_NAME_WIDTH_MIN, max_width=name_width, no_wrap=True, overflow="ellipsis")
    for heading in headings[1:]:
        table.add_column(heading, justify="right", no_wrap=True, min_width=max(len(heading), _NUMBER_WIDTH_MIN))
    return table


def edge_name(source: str, target: str, width: int) -> str:
    """`source > target` in at most `width` columns; where it is cut, something of both is left."""
    free = width - len(" > ")
    if len(source) + len(target) > free:
        half = free // 2
        source_width = max(half, free - len(target))
        source = _shortened(source, source_width)
        target = _shortened(target, free - len(source))
    return f"{source} > {target}"


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _cut(rows: Sequence[Row], limit: int) -> tuple[Sequence[Row], int]:
    """The rows shown and the number of those left out; the line that tells the number takes a row itself."""
    if len(rows) <= limit:
        return rows, 0
    shown = max(1, limit - 1)
    return rows[:shown], len(rows) - shown


def _states(node: NodeFigures) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    for state, count in node.states.items():
        text.append(", " if text else "").append(f"{count} {state}", style=_STYLE_OF_STATE.get(state, "dim"))
    return text


def _trouble(count: int) -> Text:
    return Text(_count(count), style="red" if count else "dim")


def _count(count: float) -> str:
    return _scaled(count, 1000, ("", "k", "M", "G", "T"))


def _bytes(count: int) -> str:
    return _scaled(count, 1024, ("", "Ki", "Mi", "Gi", "Ti"))


def _scaled(count: float, step: int, units: Sequence[str]) -> str:
    """Whole below 10,000, then three or four digits and a unit: the column keeps its width whatever happens."""
    if count < 10_000:
        return f"{count:,.0f}"
    for unit in units:
        if count < step or unit == units[-1]:
            return f"{count:.1f}{unit}" if count < 100 else f"{count:.0f}{unit}"
        count /= step
    raise AssertionError("the last unit ends the loop")
