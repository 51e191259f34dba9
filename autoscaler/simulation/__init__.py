"""A simulation of pipelines under load, in which any rule for replicas can be tried: hours of traffic in seconds.

It is a product and the judge of the rule at once: the gates of the tests, the tables of the documents and what
`autoscaler simulate` prints all come from here. Nothing in it looks at the clock, and chance comes from a seed.
"""
