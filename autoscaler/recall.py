"""What a rule that begins anew takes from the journal: how fast a replica was, and since when a node has what it has.

Whoever decides may be killed at any time, and nothing but the control log outlives it. Without this an idle node would
keep its peak: nothing is handled that a rate could be measured of, and without a rate nothing is decided.
"""

from __future__ import annotations

from dataclasses import replace

from autoscaler.journal import JobJournal
from autoscaler.memory import Memory, NodeMemory


def recalled(memory: Memory, job: str, journal: JobJournal) -> Memory:
    """With what the last decisions of a job say of its nodes, for those of which nothing is remembered."""
    nodes = dict(memory.nodes)
    for name, known in journal.nodes.items():
        last = known.last
        rate = last.inputs.true_rate
        remembered = NodeMemory(
            rates={} if rate is None else {_KIND_UNKNOWN: rate}, wanted=last.wanted, since=last.since
        )
        nodes.setdefault((job, name), remembered)
    return replace(memory, nodes=nodes)


_KIND_UNKNOWN = ""
"""A decision does not say on which accelerators its rate was seen; what is measured next stands beside it."""
