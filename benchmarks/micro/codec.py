"""Packing message by message and joining, as `sendMessage` must, beside packing a list at once.

The difference is the price of the promise that an encoding error belongs to the caller and harms no other message.
"""

from __future__ import annotations

import msgpack

from benchmarks.micro.timing import FRAME, Case, message
from streamer.protocol.codec import join, pack_message, packer, unpack, unpack_each


def cases() -> dict[str, Case]:
    messages = [message(n) for n in range(FRAME)]
    pack = packer()
    pack_batch = msgpack.Packer().pack
    body = join([pack(m) for m in messages])
    return {
        "pack a list": Case(lambda: pack_batch(messages)),
        "pack each and join": Case(lambda: join([pack(m) for m in messages]), reference="pack a list"),
        "pack each with its errors and join": Case(
            lambda: join([pack_message(pack, m) for m in messages]), reference="pack a list"
        ),
        "unpack": Case(lambda: unpack(body)),
        "unpack one by one": Case(lambda: unpack_each(body, FRAME), reference="unpack"),
    }
