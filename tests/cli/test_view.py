"""The live view fits the terminal it is drawn in, loses no row silently, and is not torn by what algorithms print."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from streamer.cli.figures import Figures, figures
from streamer.cli.view import LiveView, edge_name, render
from streamer.metrics.samples import EdgeSample
from tests.cli.watched import chain, sample, snapshot

FOOTER = "Ctrl-C drains, a second one ends at once"
BUSY = snapshot(
    75,
    sample("lines-0", received=5_000_000, edge=EdgeSample("parse", sent=5_000_000, in_flight=123_456)),
    sample(
        "parse-0",
        failed=3,
        edge=EdgeSample("save", sent=42, backlog_messages=99_999, backlog_bytes=64 << 20, dead_lettered=3),
    ),
    sample("save-0", latencies={1: 10}),
    phases={"parse-1": "restarting"},
    restarts={"parse": 2},
)


def drawn(found: Figures, width: int, height: int) -> list[str]:
    console = Console(width=width, height=height, file=io.StringIO(), color_system=None)
    with console.capture() as capture:
        console.print(render(found, width, height, FOOTER))
    return [line.rstrip() for line in capture.get().splitlines()]


def test_everything_that_matters_is_on_one_screen_of_80_by_24() -> None:
    lines = drawn(figures(snapshot(0), BUSY), 80, 24)

    text = "\n".join(lines)
    assert lines[0].startswith("words  job abcdefghijkl  running  01:15")
    assert "lines > parse" in text
    assert "123k" in text
    assert "64.0Mi" in text
    assert "1 running, 1 restarting" in text
    assert "main              750 us  995 us" in text
    assert lines[-1] == FOOTER


@pytest.mark.parametrize("nodes", [2, 3, 8, 40])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (200, 60), (60, 15)])
def test_the_view_is_never_larger_than_the_terminal(nodes: int, width: int, height: int) -> None:
    plan = chain(*(f"a-node-with-a-rather-long-name-{number}" for number in range(nodes)))

    lines = drawn(figures(snapshot(0, plan=plan), snapshot(1, plan=plan)), width, height)

    assert len(lines) < height
    assert all(len(line) <= width for line in lines)


def test_long_names_push_no_number_out_of_an_80_column_terminal() -> None:
    plan = chain("processes-of-this-host", "score-of-a-process-by-its-load", "summaries-and-alerts")

    lines = drawn(figures(snapshot(0, plan=plan), snapshot(1, plan=plan)), 80, 24)

    assert lines[2].split() == ["edge", "msg/s", "backlog", "bytes", "in", "flight", "dropped", "dead", "again"]
    assert lines[3].startswith("processe… > score-of…  ")
    assert lines[6].split() == ["node", "msg/s", "busy", "failed", "restarts", "instances"]


@pytest.mark.parametrize(
    ("source", "target", "name"),
    [
        ("lines", "parse", "lines > parse"),
        ("lines", "a-very-long-name-of-a-node", "lines > a-very-long…"),
        ("a-very-long-name-of-a-node", "save", "a-very-long-… > save"),
        ("a-very-long-name-of-a-node", "a-very-long-name", "a-very-… > a-very-l…"),
    ],
)
def test_a_cut_name_of_an_edge_shows_something_of_both_its_ends(source: str, target: str, name: str) -> None:
    assert edge_name(source, target, 20) == name


def test_rows_that_do_not_fit_are_counted() -> None:
    plan = chain(*(f"n{number}" for number in range(40)))

    text = "\n".join(drawn(figures(snapshot(0, plan=plan), snapshot(1, plan=plan)), 80, 24))

    assert "and 33 more edges" in text
    assert "and 34 more nodes" in text


def test_what_algorithms_print_stands_above_the_view_without_what_would_move_the_cursor() -> None:
    out = io.StringIO()
    view = LiveView(Console(file=out, force_terminal=True, width=80, height=24, color_system=None), FOOTER)

    view.show(snapshot(0))
    view.output("parse", "parse-1", "up\x1b[2J\x1b[1Aand away")
    view.show(snapshot(1))
    view.close()

    before, _, after = out.getvalue().partition("parse parse-1 | upand away\n")
    assert "words  job abcdefghijkl" in before
    assert "words  job abcdefghijkl" in after
    assert "\x1b[2J" not in out.getvalue()


def test_a_flood_of_lines_is_cut_and_counted() -> None:
    out = io.StringIO()
    view = LiveView(Console(file=out, force_terminal=True, width=80, height=24, color_system=None), FOOTER)

    for number in range(2000):
        view.output("parse", "parse-1", f"line {number}")
    view.close()

    assert "line 499\n" in out.getvalue()
    assert "line 500\n" not in out.getvalue()
    assert "and 1,500 more lines, in the logs" in out.getvalue()
