"""`python -m autoscaler`: the same command where the script is not on the PATH.

It has no code of its own. A machine with several environments then has a way to say which one is meant.
"""

from autoscaler.command import main

main()
