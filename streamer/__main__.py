"""`python -m streamer`: the same command where the script is not on the PATH.

It has no code of its own. A machine with several environments then has a way to say which one is meant.
"""

from streamer.cli.main import main

main()
