"""A source whose flows change: each record takes one version's way, in every life, whenever the former one died."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.limits import CANARY_PARTS, CANARY_RUN
from streamer.plan.assignment import Assignment, Role, Wiring
from streamer.protocol.account import InstanceAccount, decode_account, encode_account
from streamer.protocol.canary import takes_canary
from streamer.protocol.chunk import OutFrame
from streamer.protocol.edge import Edge
from streamer.protocol.history import UNKNOWN
from streamer.protocol.identity import origin_of
from streamer.runtime.exits import Exits
from streamer.runtime.letters import Letters
from streamer.runtime.outbox import Outbox
from streamer.runtime.source import SourceWork
from streamer.state.dead_letters import DeadLetter
from tests.runtime.test_source import Page
from tests.runtime.wirings import wiring

FLOWS = (
    "lines >> parse & keep",
    "lines >> keep",
    "lines >> parse & mail",
    "parse >> keep",
    "lines >> mail",
    "lines >> parse & keep & mail",
)
TARGETS: tuple[set[str], ...] = (
    {"parse", "keep"},
    {"keep"},
    {"parse", "mail"},
    set(),
    {"mail"},
    {"parse", "keep", "mail"},
)
"""By version, where the records of `lines` go."""


class Life:
    """One life of the source. `page` is what the former one left; versions `oldest` to `newest` are alive.

    With `parts` the newest is a canary.
    """

    def __init__(
        self, records: Sequence[object], batch: int, page: bytes, oldest: int, newest: int, parts: int | None
    ) -> None:
        self.account = decode_account(page) if page else InstanceAccount()
        self.account.recover()
        self._number = 1
        assignment = Assignment(
            job="job", pipeline="words", token="secret", node="lines", instance="lines-0", epoch=1, role=Role.SOURCE,
            wiring=self._wiring(oldest, newest, parts), folder="", dead_letters="", control="",
        )  # fmt: skip
        self.exits = Exits("lines", assignment.wiring)
        letters = Letters(assignment, self, lambda: 0.0, lambda: 0.0, self.exits.position)
        self.outbox = Outbox(assignment, self.exits, None, self.account, letters)
        source = Page(records, batch=batch)
        self.work = SourceWork(
            source, self.exits, self.outbox, self.account, letters, 1, clock=lambda: 0.0, wall=lambda: 0.0
        )

    def append(self, records: Sequence[DeadLetter]) -> None:
        raise AssertionError(records)

    def _wiring(self, oldest: int, newest: int, parts: int | None) -> Wiring:
        self._number += 1
        return wiring("lines", self._number, *FLOWS[oldest - 1 : newest], oldest=oldest, parts=parts)

    def rewire(self, oldest: int, newest: int, parts: int | None) -> None:
        assert self.exits.take(self._wiring(oldest, newest, parts), set())
        self.outbox.rewire()

    def sent(self) -> Iterator[tuple[str, OutFrame, int, int]]:
        """All that waits, one message a frame: (target, frame, position, version)."""
        for edge in self.outbox.edges:
            assert isinstance(edge, Edge)
            while (frame := edge.cut(1)) is not None:
                edge.fly(frame)
                segment = frame.chunks[0].segment
                yield edge.target, frame, segment.positions[0], self.exits.version_of(segment.route)

    @property
    def page(self) -> bytes:
        assert all(edge.balanced for edge in self.account.edges)
        return encode_account(self.account)


class Story:
    """What must hold over all lives. `taken` is the version of each position, `settled` are (position, target)."""

    def __init__(self, count: int, batch: int) -> None:
        self.records = list(range(count))
        self.batch = batch
        self.oldest = self.newest = 1
        self.parts: int | None = None
        self.taken: dict[int, int] = {}
        self.settled: list[tuple[int, str]] = []
        self.page = b""
        self.open: list[tuple[str, OutFrame, int]] = []

    def live(self, steps: Sequence[tuple[str, int]], *, published: bool) -> Life:
        """One life of these steps; unless `published`, it dies after its last reading and before its page is in force.

        What was read then has not left.
        """
        life = Life(self.records, self.batch, self.page, self.oldest, self.newest, self.parts)
        self.page, self.open = life.page, []
        for at, (what, choice) in enumerate(steps):
            if what == "read":
                life.work.produce(0.0)
                if at == len(steps) - 1 and not published:
                    return life
                self._leave(life)
            elif what in ("flows", "canary", "retire"):
                self._change(what, choice)
                life.rewire(self.oldest, self.newest, self.parts)
            elif what == "settle":
                self._settle(life, choice)
            self.page = life.page
        return life

    def _change(self, what: str, choice: int) -> None:
        """`canary` begins one, or gives it another share; `flows` follows it, or makes it the one for all."""
        if what == "retire":
            self.oldest = min([self.newest - (self.parts is not None), *self._held()])
        elif what == "canary":
            if self.parts is None:
                if self.newest == len(FLOWS):
                    return
                self.newest += 1
            self.parts = choice * CANARY_PARTS // 4
        else:
            self.newest += self.newest < len(FLOWS) and (self.parts is None or choice > 1)
            self.parts = None

    def _held(self) -> set[int]:
        """The versions of all that is not settled, in whichever life it was sent."""
        done = set(self.settled)
        return {v for p, v in self.taken.items() if any((p, target) not in done for target in TARGETS[v - 1])}

    def _leave(self, life: Life) -> None:
        for target, frame, position, version in life.sent():
            assert self.taken.setdefault(position, version) == version, f"{position} goes by {version} now"
            assert target in TARGETS[version - 1]
            self.open.append((target, frame, position))

    def _settle(self, life: Life, choice: int) -> None:
        """Every `choice`-th of what is open."""
        for target, frame, position in self.open[:: choice + 1]:
            (edge,) = [edge for edge in life.outbox.edges if edge.target == target]
            assert isinstance(edge, Edge)
            edge.counts.settled += edge.settle(frame)
            self.settled.append((position, target))
        del self.open[:: choice + 1]
        life.work.settled()


steps = st.lists(
    st.tuples(
        st.sampled_from(["read", "read", "read", "settle", "settle", "flows", "canary", "retire"]), st.integers(0, 3)
    ),
    max_size=14,
)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 80), st.integers(1, 30), st.lists(st.tuples(steps, st.booleans()), max_size=6))
def test_each_record_goes_once_into_each_edge_of_the_one_version_that_it_took(
    count: int, batch: int, lives: list[tuple[list[tuple[str, int]], bool]]
) -> None:
    story = Story(count, batch)
    for told, published in lives:
        story.live(told, published=published)

    last = story.live([("read", 0), ("settle", 0)] * (count + 2), published=True)

    taken = [story.taken.get(position) for position in range(count)]
    wanted = [(p, target) for p, version in enumerate(taken) if version for target in TARGETS[version - 1]]
    assert sorted(story.settled) == sorted(wanted)
    for position, version in enumerate(taken):
        assert version is None or {version, UNKNOWN} & set(last.account.history.at(position).versions)
    for edge in last.account.edges:
        assert edge.sent - edge.abandoned == sum(target == edge.target for _, target in wanted)
    assert last.account.received == count
    assert last.work.exhausted


@given(st.integers(1, 8))
def test_a_new_version_begins_behind_all_that_a_former_life_can_have_sent(read: int) -> None:
    story = Story(40, 4)
    story.live([("read", 0)] * read, published=True)
    story.newest = 2

    story.live([("read", 0)] * 10, published=True)

    assert [story.taken[position] for position in range(40)] == [1] * 4 * read + [2] * (40 - 4 * read)


def test_what_was_read_and_had_not_left_when_the_source_died_takes_the_version_that_is_then_in_force() -> None:
    story = Story(8, 4)
    story.live([("read", 0)], published=False)
    story.newest = 2

    story.live([("read", 0)] * 2, published=True)

    assert set(story.taken.values()) == {2}


def test_places_of_a_version_that_does_not_have_an_edge_hold_the_edges_floor_back_no_longer() -> None:
    story = Story(20, 4)
    life = story.live([("read", 0), ("settle", 0), ("flows", 0), ("read", 0), ("settle", 0)], published=True)
    floors = {edge.target: edge.roots.floor for edge in life.account.edges}
    assert floors == {"parse": 8, "keep": 8}


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 3), st.integers(10, 70))
def test_a_canary_takes_the_records_that_their_ids_say_and_no_others_in_every_life(kills: int, batch: int) -> None:
    story = Story(400, batch)
    story.live([("canary", 1)], published=True)
    for _ in range(kills):
        story.live([("read", 0), ("settle", 1)], published=True)

    story.live([("read", 0), ("settle", 0)] * (400 // batch + 2), published=True)

    origin = origin_of("lines", "page", 0)
    taken = [story.taken[position] for position in range(400)]
    assert taken == [2 if takes_canary(origin, p, CANARY_PARTS // 4, CANARY_RUN) else 1 for p in range(400)]
    assert taken.count(2) == 96, "a quarter of 25 runs"


def test_a_canary_that_has_ended_keeps_the_records_that_took_it() -> None:
    story = Story(400, 100)
    story.live([("canary", 2), ("read", 0)], published=True)
    before = dict(story.taken)

    story.live([("flows", 3), *[("read", 0), ("settle", 0)] * 4], published=True)

    assert {1, 2} == set(before.values())
    assert before.items() <= story.taken.items()
    assert {story.taken[position] for position in range(100, 300)} == {3}
