"""The algorithms of the verifier's pipelines: what a user would write, one file each.

A message is a dict whose `id` is its own way: `s#12/a/b.1` is the second child that b made of what a made of record 12
of the source s. So whatever is lost, doubled or sent astray has a name, and no algorithm needs to remember anything.
"""
