"""`python -m streamer.runtime ASSIGNMENT`: the process of one instance, as a platform starts it.

It imports only what an instance needs, since every instance pays for it at its start.
"""

import sys

from streamer.runtime.process import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
