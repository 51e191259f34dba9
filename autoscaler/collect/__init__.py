"""What jobs say of themselves, from wherever it can be had: one port, and one file for each source of metrics.

Whatever the source, the same points come of it, so the rule cannot tell a Prometheus server from the instances' own
words, and one contract suite judges all of them.
"""
