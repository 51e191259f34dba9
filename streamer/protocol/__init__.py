"""What two instances say to each other, as values: no I/O, no clock, no threads.

Everything that decides whether a message is lost, doubled or overtaken stands in this package and in nothing else, so
that it can be driven by properties and by a simulated network. The runtime owns sockets and time and hands both in.
"""
