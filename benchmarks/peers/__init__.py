"""Our engine beside others that do the same work: HKube's Python wrapper, Bytewax, Pathway and streamz.

Only `programs` knows the others; it is run by their interpreter and imports nothing of ours.
"""
