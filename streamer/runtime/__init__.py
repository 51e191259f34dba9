"""One running instance of a node: sockets, time, pages and the user's code around the pure protocol.

`instance` is the loop, `process` builds it for real; control never imports this package: they meet in `plan.assignment`.
"""
