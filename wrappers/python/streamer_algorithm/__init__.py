"""What the author of an algorithm writes against: the types of `args` and `api`, and `Algorunner`.

It is a distribution of its own, without dependencies, so that an algorithm can be written, type-checked and tested
where the engine is not installed. It holds no engine: inside an instance the engine hosts these functions in its own
process, and the names here only say what they look like.
"""

from streamer_algorithm.algorunner import Algorithm, Algorunner, NotHostedError, host
from streamer_algorithm.api import Hold, OnMessage, OnMessages, StreamingApi
from streamer_algorithm.arguments import AlgorithmArgs, AlgorithmInfo, StreamInput

__all__ = [
    "Algorithm",
    "AlgorithmArgs",
    "AlgorithmInfo",
    "Algorunner",
    "Hold",
    "NotHostedError",
    "OnMessage",
    "OnMessages",
    "StreamInput",
    "StreamingApi",
    "host",
]
