"""Hosts of the controller: each carries events to `control.step` and its effects to the world.

A host decides nothing, so that a second one (a cluster's) behaves like the first; one file per host.
"""
