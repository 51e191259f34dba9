"""Where instances live: a port and one file per place.

A platform starts, kills and tells what has ended; whether that is right is the controller's business.
"""
