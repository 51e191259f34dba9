"""A stateless node at the end of a flow that does nothing with a message.

What it has taken stands in its account, which is enough where several instances of it are counted together.
"""

from __future__ import annotations


def start(_args: dict[str, object], _api: object) -> None:
    """The message is handled."""
