"""Whole pipelines, measured from outside by a driver that is no part of them.

The engine's side of a comparison is what a user gets: a descriptor, the embedded host, processes.
"""
