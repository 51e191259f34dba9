"""What the engine costs, measured beside what it is measured against.

Machines are shared and noisy, so a figure alone means little: each is taken in one session with its reference, A B A B,
and told as a ratio. `python -m benchmarks` takes all of them and writes `results/` and the tables of the documents.
"""
