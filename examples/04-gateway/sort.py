"""A stateless algorithm that chooses between two flows.

What it returns continues the flow that the message came in, `master`; what it sends by name takes that flow instead.
A message that has no text is an error here, and goes to the dead letters.
"""

from __future__ import annotations

from streamer_algorithm import AlgorithmArgs, StreamingApi


def start(args: AlgorithmArgs, api: StreamingApi) -> object:
    [topics] = args["input"]
    tweet = args["streamInput"]["message"]
    words = tweet["text"].lower().split()
    if any(topic in words for topic in topics):
        api.sendMessage(tweet, "analyze")
        return None
    return tweet
