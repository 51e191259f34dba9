"""The verifier: real jobs of many shapes under kill -9 and worse, and a count of what the promises lost.

The simulation (`streamer.testing.play`) tries millions of orders of events in virtual time, and believes its own wire,
disk and clock. This believes nothing: processes, sockets and files are those of the machine, faults come from outside,
and the verdict is taken from what lies in the files of the sinks and in the pages of the instances. `shapes` has the
pipelines, `schedule` the faults that a seed decides, `nemesis` strikes, `exposure` keeps what was unsettled when,
`checker` judges, and `trial` is one job from its start to its verdict. `python -m streamer.testing.verify --help`.
"""
