"""The command line: it reads options, asks the layers below, and shows what they say.

It decides nothing about jobs, so that another front (REST, a test) gets the same behaviour. Modules that cost import
time are imported by the command that needs them: `streamer --help` answers at once.
"""
