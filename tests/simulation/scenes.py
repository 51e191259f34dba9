"""Small jobs with the faults of one story, for tests that tell what must come of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from streamer.limits import QUEUE_BYTES_DEFAULT
from streamer.testing.nemesis import CALM, DRAINED, Change, Drain, Fault
from streamer.testing.outcome import Cast
from streamer.testing.play import Choices, Play, plan_of
from streamer.testing.shapes import SHAPES


def scene(
    shape_name: str,
    *faults: Fault,
    records: int = 20,
    interval_s: float = 0.01,
    handler_s: float = 0.001,
    replicas: Mapping[str, int] | None = None,
    poison: Sequence[tuple[str, str]] = (),
    changes: Sequence[Change] = (),
    seed: int = 0,
) -> Play:
    """One instance of each node unless `replicas` says otherwise."""
    shape = SHAPES[shape_name]
    starting = (*shape.sources, *shape.starters)
    choices = Choices(
        replicas=replicas or {},
        queue_bytes=QUEUE_BYTES_DEFAULT,
        records=dict.fromkeys(starting, records),
        interval_s=interval_s,
        batch_max=512,
        handler_s=dict.fromkeys(shape.behaviours, handler_s),
        refusing=None,
        poisoned=None,
        unreadable=False,
        malice=DRAINED if any(isinstance(fault, Drain) for fault in faults) else CALM,
    )
    cast = Cast(
        records={node: [f"{node}#{n}" for n in range(records)] for node in shape.sources},
        starts={node: [f"{node}#{n}" for n in range(records)] for node in shape.starters},
        farewells={node: f"bye-{node}#0" for node in shape.farewells},
        behaviours=shape.behaviours,
        poison=frozenset(poison),
        wrap=shape.wrap,
    )
    return Play(shape, seed, choices, plan_of(shape, choices), cast, faults, tuple(changes))
