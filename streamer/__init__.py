"""Event streaming for pipelines of algorithms, from a laptop to a cluster.

What `__all__` lists is promised and documented in docs/architecture.md; every other module may change between
versions. It stays this small because every instance process imports it: an import added here is paid once per replica.
"""

from streamer.errors import StreamerError

__version__ = "0.1.0"

__all__ = ["StreamerError", "__version__"]
