"""Sources and sinks: how records enter and leave a pipeline.

A connector knows positions and records and nothing of messages, credit or settlement: the runtime hosts it
(`streamer.runtime.source`, `streamer.runtime.sink`) and keeps its position.
"""
