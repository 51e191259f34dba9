"""Test engines and pipelines without a network, a clock or luck: everything here is made from one seed.

Shipped to users, because whoever writes a pipeline has the same questions as we have: what if this instance dies now,
what if that link is slow. The engine that is tested is the real one (`streamer.runtime`, `streamer.control`); only
time, the wire, and what survives a kill are replaced.
"""
