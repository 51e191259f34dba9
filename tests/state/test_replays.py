"""Letters that are wanted again: each is claimed by one instance, and stays until it is settled, whoever dies."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from streamer.limits import CRASH_ATTEMPTS_MAX, FRAME_BYTES_MAX, REPLAY_LETTERS_MAX
from streamer.protocol.codec import careful, packer, unpack_one
from streamer.protocol.frames import InHand
from streamer.state.dead_letters import DeadLetter, DeadLetters
from streamer.state.letter_search import LetterSearch
from streamer.state.replays import Mine, Replays
from tests.state.endless_letters import letter

NOW_S = 1_800_000_000.0
LIVES = ("parse-0", "parse-1")


class Kept:
    """A store with letters of these messages, numbered from 1."""

    def __init__(self, folder: Path, *letters: DeadLetter) -> None:
        self.store = DeadLetters(folder / "dead.sqlite")
        self.store.append(letters)
        self.replays = Replays(self.store)
        self._session = 0

    def want(self, *numbers: int) -> None:
        self.replays.want(numbers, current_flows=False)

    def claim(
        self, holder: str = "parse-0", lives: tuple[str, ...] = LIVES, most: int = 1_000, mine: Mine | None = None
    ) -> list[int]:
        """The numbers of one frame, whose session is a number of its own."""
        self._session += 1
        return [one.kept.number for one in self.replays.claim("parse", holder, lives, self._session, 1, most, mine)]

    def states(self) -> dict[int, str]:
        return {kept.number: kept.state for kept in self.store.find()}


def kept(folder: Path, count: int = 4) -> Kept:
    return Kept(folder, *(letter("parse-0", number, number) for number in range(1, count + 1)))


def test_without_a_store_there_is_nothing_to_claim(tmp_path: Path) -> None:
    nothing = Kept(tmp_path)
    nothing.replays.begin("parse-0", (), NOW_S)
    nothing.replays.release()

    assert (nothing.claim(), nothing.replays.counts()) == ([], {})
    assert list(tmp_path.iterdir()) == []


def test_what_is_wanted_is_claimed_once_and_gone_when_it_is_settled(tmp_path: Path) -> None:
    store = kept(tmp_path)
    store.want(1, 3, 9)

    assert store.claim() == [1, 3]
    assert (store.claim("parse-1"), store.replays.under_way((1, 3))) == ([], 2)
    store.replays.settled("parse", "parse-0", [1, 3])

    assert store.states() == {2: "dead", 4: "dead"}
    assert store.replays.counts() == {"parse": 2}


def test_an_instance_that_owns_keys_claims_those_that_are_its_own_however_many_come_before(tmp_path: Path) -> None:
    store = kept(tmp_path, 50)
    store.want(*range(1, 51))
    even = [number for number in range(1, 51) if unpack_one(letter("parse-0", number, number).packed) % 2 == 0]

    def mine(packed: bytes) -> bool:
        return bool(unpack_one(packed) % 2 == 0)

    assert store.claim(mine=mine, most=3) == even[:3]
    assert store.claim(mine=mine) == even[3:]
    assert store.claim(mine=mine) == []
    assert store.claim("parse-1") == [number for number in range(1, 51) if number not in even]


def test_what_an_instance_lets_go_is_claimed_by_another_under_the_same_id(tmp_path: Path) -> None:
    store = kept(tmp_path)
    store.want(1, 2, 3)
    store.claim()
    store.replays.settled("parse", "parse-0", [1])

    store.replays.let_go("parse-0", [1, 2])
    store.replays.let_go("parse-1", [3])

    assert store.claim("parse-1") == [2]
    assert {kept.number: kept.replays for kept in store.store.find()} == {2: 1, 3: 1, 4: 0}


def test_only_letters_of_the_node_are_claimed(tmp_path: Path) -> None:
    store = Kept(tmp_path, letter("parse-0", 1, 1), replace(letter("parse-0", 2, 2), target="save"))
    store.want(1, 2)

    assert store.claim() == [1]


def test_one_that_fails_again_is_dead_again_with_all_its_attempts(tmp_path: Path) -> None:
    store = kept(tmp_path)
    store.want(1, 2)
    store.claim()

    store.store.append([replace(letter("parse-0", 99, 1), error="KeyError: 1", attempts=3, again=1)])
    store.replays.settled("parse", "parse-0", [1, 2])

    assert store.states() == {1: "dead", 3: "dead", 4: "dead"}
    (again,) = store.store.find(LetterSearch(numbers=(1,)))
    assert (again.letter.error, again.letter.attempts, again.replays) == ("KeyError: 1", 4, 1)
    assert again.letter.message_id == "parse-0/1"
    assert store.replays.counts() == {"parse": 1}


def test_one_that_was_purged_meanwhile_and_fails_again_is_kept_anew(tmp_path: Path) -> None:
    store = kept(tmp_path, 1)
    store.want(1)
    store.claim()
    store.store.purge(LetterSearch())

    store.store.append([replace(letter("parse-0", 1, "again"), again=1)])

    assert store.states() == {2: "dead"}


def test_a_frame_is_of_one_source_and_of_a_bounded_size(tmp_path: Path) -> None:
    half = "x" * (FRAME_BYTES_MAX // 2 - 100)
    letters = [letter("parse-0", n, half if n < 4 else n) for n in range(1, 6)]
    letters[4] = replace(letters[4], source="other")
    store = Kept(tmp_path, *letters)
    store.want(*range(1, 6))

    assert [store.claim() for _ in range(4)] == [[1, 2, 4], [3], [5], []]


def test_a_frame_has_so_many_letters_at_most(tmp_path: Path) -> None:
    store = kept(tmp_path, REPLAY_LETTERS_MAX + 5)
    store.want(*range(1, REPLAY_LETTERS_MAX + 6))

    assert [len(store.claim()) for _ in range(2)] == [REPLAY_LETTERS_MAX, 5]


def test_a_large_message_comes_alone(tmp_path: Path) -> None:
    large = careful(packer())({"data": random.Random(1).randbytes(200_000)})
    letters = [letter("parse-0", n, n) for n in (1, 2, 3)]
    letters[1] = replace(letters[1], packed=large)
    store = Kept(tmp_path, *letters)
    store.want(1, 2, 3)

    assert [store.claim() for _ in range(3)] == [[1, 3], [2], []]


# -- deaths ----------------------------------------------------------------------------------------------------------


def test_the_next_life_claims_the_same_again_as_the_same_replay(tmp_path: Path) -> None:
    store = kept(tmp_path)
    store.want(1, 2)
    store.claim()

    store.replays.begin("parse-0", (), NOW_S)

    assert store.claim() == [1, 2]
    assert {one.replays for one in store.store.find(LetterSearch(numbers=(1, 2)))} == {1}


def test_another_instance_claims_what_one_had_that_is_no_more(tmp_path: Path) -> None:
    store = kept(tmp_path)
    store.want(1)
    store.claim("parse-1")

    assert store.claim("parse-0", ("parse-0", "parse-1")) == []
    assert store.claim("parse-0", ("parse-0",)) == [1]
    store.replays.settled("parse", "parse-1", [1])  # it was stopped for a while, and knows nothing of it
    assert store.states()[1] == "claimed"
    store.replays.settled("parse", "parse-0", [1])
    assert 1 not in store.states()


def test_what_was_in_hand_at_a_death_comes_alone_and_is_dead_after_its_last(tmp_path: Path) -> None:
    store = kept(tmp_path)
    (poison,) = store.store.find(LetterSearch(numbers=(2,)))
    before = poison.letter.attempts
    store.want(1, 2, 3)
    for death in range(CRASH_ATTEMPTS_MAX):
        frames = [store.claim(), store.claim()]
        assert frames == ([[1, 2, 3], []] if death == 0 else [[1, 3], [2]])
        session = store._session if death else store._session - 1
        place = 1 if death == 0 else 0
        store.replays.begin("parse-0", [InHand(session, 1, place), InHand(777, 1, 0)], NOW_S)

    assert store.claim() == [1, 3]
    (poison,) = store.store.find(LetterSearch(numbers=(2,)))
    assert (poison.state, poison.letter.reason, poison.letter.time_s) == ("dead", "crash", NOW_S)
    assert "in hand when 3 instances died" in poison.letter.error
    assert poison.letter.attempts == before + CRASH_ATTEMPTS_MAX


def test_the_end_of_the_job_leaves_them_dead(tmp_path: Path) -> None:
    store = kept(tmp_path)
    store.want(1, 2)
    store.claim()
    store.want(3)

    store.replays.release()

    assert set(store.states().values()) == {"dead"}


def test_one_that_is_refused_says_why_and_keeps_its_error(tmp_path: Path) -> None:
    store = kept(tmp_path)
    store.want(1)
    store.claim()

    store.replays.refuse(1, "its version is over")

    (refused,) = store.store.find(LetterSearch(numbers=(1,)))
    assert (refused.state, refused.letter.error) == ("dead", "ValueError: bad (not replayed: its version is over)")


@pytest.mark.parametrize("current_flows", [True, False])
def test_it_is_said_under_which_flows_they_are_wanted(tmp_path: Path, current_flows: bool) -> None:
    store = kept(tmp_path)
    store.replays.want([1], current_flows=current_flows)

    (claimed,) = store.replays.claim("parse", "parse-0", LIVES, 5, 1, 10)

    assert (claimed.current_flows, claimed.alone) == (current_flows, False)
