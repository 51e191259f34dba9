"""Large messages go through handlers of every form, and are packed without being copied once they are expected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streamer.limits import LARGE_BYTES
from streamer.protocol.buffers import Bulky
from tests.runtime.chain import Chain, algorithm_of

FORMS = {
    "returned": "def start(args):\n    return give(args)",
    "sent": "def start(args, api):\n    api.sendMessage(give(args))",
    "yielded": "def start(args):\n    yield give(args)",
    "generator returned": "def start(args):\n    return (x for x in [give(args)])",
    "batch": "def onMessages(messages):\n    return [give({'streamInput': {'message': m}}) for m in messages]",
}
GIVE = f"""
def give(args):
    n = args["streamInput"]["message"]
    n = n if isinstance(n, int) else n["n"]
    return {{"n": n, "data": bytes([n]) * ({LARGE_BYTES} if n % 3 else 10)}}

"""


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("large_input", [False, True], ids=["small-in", "large-in"])
def test_large_and_small_messages_are_mixed(tmp_path: Path, form: str, *, large_input: bool) -> None:
    messages = [{"n": n, "in": bytes(LARGE_BYTES if n % 2 else 1)} if large_input else n for n in range(12)]

    chain = Chain(algorithm_of(tmp_path, GIVE + FORMS[form]), messages).finish()

    assert chain.dead == []
    assert chain.outcome == [{"n": n, "data": bytes([n]) * (LARGE_BYTES if n % 3 else 10)} for n in range(12)]
    assert chain.edge(chain.numbers).settled == 12


def test_a_relay_of_large_messages_copies_none(tmp_path: Path) -> None:
    algorithm = algorithm_of(
        tmp_path,
        """
        kept = []

        def start(args, api):
            kept.append(args["streamInput"]["message"])
            return kept[-1]
        """,
    )
    chain = Chain(algorithm, [bytes(LARGE_BYTES)] * 3)
    sent: list[bytes] = []
    emit = chain.work.outbox.emit

    def watched(segment: Any, blobs: Any, parent: Any, indexes: Any, *, again: bool = False) -> None:
        sent.extend(blobs)
        emit(segment, blobs, parent, indexes, again=again)

    chain.work.outbox.emit = watched  # type: ignore[method-assign]  # what is handed on is looked at
    chain.finish()

    assert algorithm.start is not None
    buffers = [buffer for blob in sent if isinstance(blob, Bulky) for buffer in blob.buffers]
    assert [id(buffer) for buffer in buffers] == [id(message) for message in algorithm.start.__globals__["kept"]]
