"""What an instance keeps on disk, behind ports: today its account page, later keyed state and checkpoints.

Control and runtime both read these files and do not know each other, so the files' homes are here, below both.
"""
