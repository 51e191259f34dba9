"""The map and the keyed count in Bytewax, as one of two worker processes.

The first process reads the source. For the map, `redistribute` deals the messages out, and each process changes and
counts its half: that half of them stays where it was made, and that both processes share the work, is in Bytewax's
favour. For the count, each key belongs to one of the two, and so half of the messages cross; state is kept in Bytewax's
recovery store, with a snapshot each second, and the source can go on where it was.

    bytewax_flow.py FOLDER map|count PROCESS ADDRESSES PAYLOAD_BYTES KEYS
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import cluster_main
from tally import Tally, neighbour, say

BATCH = 1000
"""Messages of one turn of the source: with ten times fewer Bytewax is slower, with more it is not faster."""
EPOCH = timedelta(seconds=1)


class Numbers(StatefulSourcePartition[dict[str, Any], int]):
    """Message n depends on n alone, so the position is all that has to be kept."""

    def __init__(self, tally: Tally, payload_bytes: int, position: int) -> None:
        self._tally, self._data, self._next = tally, b"x" * payload_bytes, position

    def next_batch(self) -> list[dict[str, Any]]:
        if self._tally.stopped:
            say(str(self._next))
            raise StopIteration
        first, data = self._next, self._data
        self._next += BATCH
        return [{"id": number, "data": data} for number in range(first, self._next)]

    def snapshot(self) -> int:
        return self._next


class Source(FixedPartitionedSource[dict[str, Any], int]):
    """One partition, in the first process."""

    def __init__(self, process: int, tally: Tally, payload_bytes: int) -> None:
        self._process, self._tally, self._payload_bytes = process, tally, payload_bytes

    def list_parts(self) -> list[str]:
        return [] if self._process else ["numbers"]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> Numbers:  # noqa: ARG002  # by name
        return Numbers(self._tally, self._payload_bytes, resume_state or 0)


class Count(StatelessSinkPartition[Any]):
    """Counts what comes to this process."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def write_batch(self, items: list[Any]) -> None:
        self._tally.add(len(items))


class Sink(DynamicSink[Any]):
    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def build(self, step_id: str, worker_index: int, worker_count: int) -> Count:  # noqa: ARG002  # by name
        return Count(self._tally)


def changed(message: dict[str, Any]) -> dict[str, Any]:
    message["id"] += 1
    return message


def counted(count: int | None, _message: dict[str, Any]) -> tuple[int, int]:
    count = (count or 0) + 1
    return count, count


def flow_of(what: str, source: Source, sink: Sink, keys: int) -> Dataflow:
    flow = Dataflow("benchmark")
    messages = op.input("source", flow, source)
    if what == "map":
        dealt = op.redistribute("deal", messages)
        op.output("sink", op.map("map", dealt, changed), sink)
    else:
        keyed = op.key_on("key", messages, lambda message: str(message["id"] % keys))
        op.output("sink", op.stateful_map("count", keyed, counted), sink)
    return flow


def main(folder: str, what: str, number: str, addresses: str, payload: str, keys: str) -> None:
    process, store = int(number), Path(folder) / "recovery"
    tally = Tally(folder, process)
    if not process:
        store.mkdir()
        init_db_dir(store, 2)
    neighbour()
    source = Source(process, tally, int(payload))
    recovery = RecoveryConfig(store) if what == "count" else None
    flow = flow_of(what, source, Sink(tally), int(keys))
    cluster_main(flow, addresses.split(","), process, epoch_interval=EPOCH, recovery_config=recovery)


if __name__ == "__main__":
    main(*sys.argv[1:])
