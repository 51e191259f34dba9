"""From a validated descriptor to what each instance runs: graph, routes, compiled plan, assignment.

Everything here is a pure function of the descriptor. Control and runtime do not know each other: they meet in
`streamer.plan.assignment`.
"""
