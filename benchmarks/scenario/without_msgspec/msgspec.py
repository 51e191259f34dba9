"""Stands in the place of msgspec where this folder comes first on the path: as if the extra `fast` were not installed.

The engine takes msgspec if it can be imported, and has no other switch for it. So a benchmark that wants it without
needs nothing but a path.
"""

raise ImportError("msgspec is hidden by a benchmark")
