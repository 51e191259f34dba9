"""How many replicas each node should have: decided from what is measured, tried in a simulation, and explained.

The deciding half is pure (a snapshot, the memory of former passes and the time in; decisions and a new memory out), so
that hours of traffic are simulated in seconds and every decision can be made again from its record. What collects
samples and what starts instances are adapters around it, which know nothing of the rule.
"""
