"""The control plane of several machines: controllers and agents that know each other by the control log alone.

A controller leads jobs and starts nothing; an agent starts what it is told to and decides nothing. Neither needs the
other's address, and each can be killed and come back: what it must know stands in the log.
"""
