"""One job in the hands of a controller of a cluster: its state, and what its agents were told.

A controller has many of them and looks at each when something has changed or is due, so whatever that needs stands
beside the state, which is pure and knows of neither logs nor machines.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from streamer import clock as clocks
from streamer.control.book import Book
from streamer.control.cluster.accounts import Pages
from streamer.control.cluster.wire import Told
from streamer.control.state import JobState
from streamer.log.base import Entry, Position, Record
from streamer.plan.assignment import Peers, Verb, Wiring


@dataclass(slots=True)
class Led:
    """One job in hand. `waits` tells why some of its instances are not placed.

    `told` is what was said to each instance, and `words` what to all of a node: said again and again, and made a record
    of once. `unsaid` are those that the log does not have yet.

    `reported` is how far its reports have been taken. Those from before it was taken up count as taken: whoever wrote
    one says it again, and an old one that came now would speak of what is over.
    """

    book: Book
    reported: Position
    state: JobState | None = None
    told: dict[str, Told] = field(default_factory=dict)
    words: dict[tuple[str, Verb], tuple[Peers | Wiring, Entry]] = field(default_factory=dict)
    unsaid: dict[str, Entry] = field(default_factory=dict)
    pages: Pages = field(default_factory=Pages)
    active: bool = True
    ticked_at: float = 0.0
    waits: str = ""

    def is_news(self, report: Record) -> bool:
        """Whether it was not taken yet; from now on it was."""
        if report.offset <= self.reported.offset(report.topic, report.partition):
            return False
        self.reported = self.reported.after(report)
        return True

    def is_over(self) -> bool:
        """Whether it has gone on for as long as it was to."""
        facts = self.book.facts
        return facts.duration_s is not None and clocks.wall() - facts.started_at >= facts.duration_s
