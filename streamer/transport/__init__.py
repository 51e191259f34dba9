"""Wires: how frames travel between two instances, one file each.

A wire moves parts of bytes and knows nothing of messages, sessions or pipelines; what it loses, the protocol notices.
"""
