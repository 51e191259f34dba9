"""One running instance of a node: sockets, time, pages and the user's code around the pure protocol.

`instance` is the loop, `process` builds it for real. Control never imports this package: the two meet in
`plan.assignment`.
"""
