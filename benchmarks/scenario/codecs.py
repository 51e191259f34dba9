"""What the extra `fast` brings: the engine with msgspec and without it, beside pyzmq and plain msgpack.

The reference is that of `throughput`, and never uses msgspec. Without it, instances get a path on which its import
fails, as it does where the extra is not installed.

    python -m benchmarks.scenario.codecs [--rounds 5] [--only TEXT] [--json FILE]
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from benchmarks.scenario import throughput
from benchmarks.scenario.rounds import Case, Entrant, Rounds

_PAYLOAD_BYTES = 100
"""Small messages, where the codec weighs most."""
_HIDES_MSGSPEC = Path(__file__).resolve().parent / "without_msgspec"


def without_msgspec() -> Mapping[str, str]:
    """Variables of a process that is not to find msgspec."""
    path = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join([str(_HIDES_MSGSPEC), *([path] if path else [])])}


def _case(relay: bool) -> Case:
    pipeline = throughput.Case("connector", relay, "stateful", _PAYLOAD_BYTES)
    return Case(
        pipeline.name,
        Entrant("straight", partial(throughput.straight, pipeline)),
        [
            Entrant("with msgspec", partial(throughput.engine, pipeline), 1.0),
            Entrant("without", partial(throughput.engine, pipeline, environment=without_msgspec()), 0.75),
        ],
    )


ROUNDS = Rounds(
    "scenario.codecs",
    "With and without msgspec, beside raw pyzmq and msgpack.",
    tuple(_case(relay) for relay in (False, True)),
)

if __name__ == "__main__":
    sys.exit(ROUNDS.main(sys.argv[1:]))
