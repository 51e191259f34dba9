"""The queries as programs of one process: a plain Python loop, and other engines.

Each is `python -m benchmarks.nexmark.programs.NAME QUERY EVENTS FILE`, started by a driver that takes time and CPU from
outside (`course`). The engines are imported from an environment of their own, in which ours is not installed, so these
modules take the events from the generator and nothing else of ours.
"""
