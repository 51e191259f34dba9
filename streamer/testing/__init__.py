"""Test engines and pipelines without a network, a clock or luck: everything here is made from one seed.

Shipped to users, because whoever writes a pipeline has the same questions as we have: what if this instance dies now,
what if that link is slow. The engine that is tested is the real one (`streamer.runtime`, `streamer.control`); only
time, the wire, and what survives a kill are replaced. What a test of a pipeline needs is named here; the rest is for
those who write a transport, a store, or the engine.
"""

from streamer.testing.failures import fail, kill
from streamer.testing.harness import Played, run

__all__ = ["Played", "fail", "kill", "run"]
