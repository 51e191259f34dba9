"""The control log: what runs, where, and which flows are in force, as records that anyone can read from the start.

`base` is the port, `topics` what is kept of each topic, `fence` the rule by which a claim outlives a paused controller;
`memory` and `sqlite` are logs. Controllers, commands and agents import the port; a log is chosen in one place.
"""
