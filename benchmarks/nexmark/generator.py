"""The events of Nexmark by their numbers: persons, auctions and bids of an online auction.

Event k is made of k alone, so that any process can make any part of the stream, and make it again after a kill: ids are
computed, and all that is left to chance comes from one hash of k. The public generator keeps a random number generator
that goes on from event to event; seeding Python's own for each event costs 8 us, the hash 1 us. Proportions, ids, skew
and sizes are those of the public generator, but for one thing: it adds the first id of a person twice to a bidder, so
that its bidders are no persons.

It imports the standard library alone, because programs of other engines, in environments of their own, read it too.
"""

from __future__ import annotations

import random
import string
import struct
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import Any

Event = dict[str, Any]
"""`kind` is `person`, `auction` or `bid`; a person has its id in `person`, an auction in `auction`."""

FIRST_ID = 1000
"""Of persons and of auctions."""
EPOCH = 50
"""Event k is of the epoch k div 50, whose first event is a person; three auctions follow, then the bids."""
AUCTIONS = 3
HOT_EVERY = 100
"""One in so many ids is the hot one: the last of them takes a part of all that happens."""
IN_FLIGHT_AUCTIONS = 100
ACTIVE_PERSONS = 1000
LEAD = 10
"""How far the id of a person or an auction may be ahead of those that there are."""

FIRST_CATEGORY = 10
CATEGORIES = 5
HOT_CHANNELS = ("Google", "Facebook", "Baidu", "Apple")
COLD_CHANNELS = 10_000
STATES = ("AZ", "CA", "ID", "OR", "WA", "WY")
CITIES = (
    "Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Redmond", "Seattle", "Kent", "Cheyenne",
)  # fmt: skip
FIRST_NAMES = ("Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter")
LAST_NAMES = ("Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris")

BASE_TIME_US = 1_436_947_195_000_000
"""07:59:55 of a day in UTC: after 50,000 events the hour is one that query 14 treats otherwise."""
INTERVAL_US = 100
"""Of event time between two events: 10,000 events a second."""
GROUP = 10
"""The events of a group come out of their order; the factor that shuffles them is a prime and does not divide it."""

PERSON_BYTES = 200
AUCTION_BYTES = 500
BID_BYTES = 100
_NUMBER_BYTES = 8

_WORDS = struct.Struct("<16I").unpack
_HALF = 1 << 31
_QUARTER = 1 << 30
_DRAWN = 2.0**-32
_PLACES = 1 << 16
_TEXT_MAX = 700
_dice = random.Random(0)
_LETTERS = "".join(string.ascii_lowercase[int(26 * _dice.random())] for _ in range(_PLACES + _TEXT_MAX))
"""All text is a piece of these letters: to draw each of them would take most of the time."""


def last_person(k: int) -> int:
    """The number of the last person among the events up to k, counted from 0."""
    return k // EPOCH


def last_auction(k: int) -> int:
    """The number of the last auction among the events up to k, counted from 0; -1 if there is none."""
    epoch, offset = divmod(k, EPOCH)
    return AUCTIONS * epoch + min(offset, AUCTIONS) - 1


def time_us_of(k: int) -> int:
    """Event time, microseconds since 1970."""
    return BASE_TIME_US + k * INTERVAL_US


def event(k: int) -> Event:
    """The event of this number."""
    offset = k % EPOCH
    draws = _WORDS(blake2b(k.to_bytes(8, "little"), digest_size=64).digest())
    if offset > AUCTIONS:
        return _bid(k, draws)
    return _auction(k, draws) if offset else _person(k, draws)


def shuffled(position: int) -> int:
    """The number of the event that comes at this position of the stream."""
    first = position // GROUP * GROUP
    return first + position * 953 % GROUP


def stream(positions: Iterable[int]) -> list[Event]:
    """The events at these positions of the stream."""
    return [event(shuffled(position)) for position in positions]


def _person(k: int, draws: tuple[int, ...]) -> Event:
    name = f"{_chosen(FIRST_NAMES, draws[0])} {_chosen(LAST_NAMES, draws[1])}"
    email = f"{_text(draws[2], 7)}@{_text(draws[3], 5)}.com"
    card = f"{draws[4] % 10**4:04} {draws[5] % 10**4:04} {draws[6] % 10**4:04} {draws[7] % 10**4:04}"
    city, state = _chosen(CITIES, draws[8]), _chosen(STATES, draws[9])
    used_bytes = _NUMBER_BYTES + len(name) + len(email) + len(card) + len(city) + len(state)
    return {
        "kind": "person",
        "person": FIRST_ID + last_person(k),
        "name": name,
        "email": email,
        "card": card,
        "city": city,
        "state": state,
        "time_us": time_us_of(k),
        "extra": _padding(draws[10], PERSON_BYTES - used_bytes),
    }


def _auction(k: int, draws: tuple[int, ...]) -> Event:
    person = last_person(k)
    time_us = time_us_of(k)
    item, description = _text(draws[0], 20), _text(draws[1], 100)
    initial = _price(draws[2])
    # A span around 100 auctions in the mean, evenly spread from almost none to twice as long.
    span_us = 1 + _below(draws[3], 2 * IN_FLIGHT_AUCTIONS * EPOCH // AUCTIONS * INTERVAL_US)
    hot_seller = draws[4] >= _QUARTER
    seller = person // HOT_EVERY * HOT_EVERY if hot_seller else _active_person(person, draws[5])
    used_bytes = len(item) + len(description) + 5 * _NUMBER_BYTES
    return {
        "kind": "auction",
        "auction": FIRST_ID + last_auction(k),
        "item": item,
        "description": description,
        "initial_bid": initial,
        "reserve": initial + _price(draws[6]),
        "time_us": time_us,
        "expires_us": time_us + span_us,
        "seller": FIRST_ID + seller,
        "category": FIRST_CATEGORY + _below(draws[7], CATEGORIES),
        "extra": _padding(draws[8], AUCTION_BYTES - used_bytes),
    }


def _bid(k: int, draws: tuple[int, ...]) -> Event:
    auction, person = last_auction(k), k // EPOCH
    if draws[0] < _HALF:
        auction = auction // HOT_EVERY * HOT_EVERY
    else:
        first = max(auction - IN_FLIGHT_AUCTIONS, 0)
        auction = first + _below(draws[1], auction - first + 1 + LEAD)
    hot_bidder = draws[2] >= _QUARTER
    bidder = person // HOT_EVERY * HOT_EVERY + 1 if hot_bidder else _active_person(person, draws[3])
    channel, url = _hot(draws[6]) if draws[5] < _HALF else _cold(_below(draws[6], COLD_CHANNELS))
    return {
        "kind": "bid",
        "auction": FIRST_ID + auction,
        "bidder": FIRST_ID + bidder,
        "price": _price(draws[4]),
        "channel": channel,
        "url": url,
        "time_us": BASE_TIME_US + k * INTERVAL_US,
        "extra": _padding(draws[7], BID_BYTES - 4 * _NUMBER_BYTES),
    }


def _below(draw: int, end: int) -> int:
    return draw * end >> 32


def _chosen(values: tuple[str, ...], draw: int) -> str:
    return values[draw * len(values) >> 32]


def _price(draw: int) -> int:
    """In cents, from 1 to 1,000,000 units: as many between 1 and 10 as between 10 and 100."""
    return round(10 ** (6 * draw * _DRAWN) * 100)


def _active_person(last: int, draw: int) -> int:
    active = min(last + 1, ACTIVE_PERSONS)
    return last + 1 - active + (draw * (active + LEAD) >> 32)


def _text(draw: int, length: int) -> str:
    at = draw >> 16
    return _LETTERS[at : at + length]


def _padding(draw: int, room_bytes: int) -> str:
    """Text that fills the room in the mean: from a fifth less to a fifth more."""
    if room_bytes <= 0:
        return ""
    spread, at = room_bytes // 5, draw >> 16
    return _LETTERS[at : at + room_bytes - spread + ((draw & 0xFFFF) * 2 * spread >> 16)]


def _hot(draw: int) -> tuple[str, str]:
    number = draw * len(HOT_CHANNELS) >> 32
    return HOT_CHANNELS[number], _hot_url(number)


@lru_cache(maxsize=len(HOT_CHANNELS))
def _hot_url(number: int) -> str:
    return _url(_WORDS(blake2b(b"hot %d" % number, digest_size=64).digest()))


@lru_cache(maxsize=COLD_CHANNELS)
def _cold(number: int) -> tuple[str, str]:
    """A channel of these has one URL, which in nine of ten names the channel."""
    draws = _WORDS(blake2b(b"cold %d" % number, digest_size=64).digest())
    named = f"&channel_id={int(f'{number:032b}'[::-1], 2) & 0x7FFFFFFF}" if _below(draws[3], 10) else ""
    return f"channel-{number}", _url(draws) + named


def _url(draws: tuple[int, ...]) -> str:
    folders = "/".join(_text(draw, 5) for draw in draws[:3])
    return f"https://www.nexmark.com/{folders}/item.htm?query=1"
