"""How the links of an instance are cut, and made whole again.

Where the machine lets us, the whole verifier lives in a network namespace of its own, and a cut is a rule of its
routing: packets from and to the instance's port are no longer delivered, nobody is told, and what a connection still
held is sent again when the rule is gone, unless somebody has given the connection up by then. Elsewhere a small proxy
stands before each instance that is sent from, and a cut breaks its connections with all that they held. Both are one
port to the nemesis.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from streamer.plan.compile import Plan

_IP = ("ip", "rule")
_PRIORITY = 1


class Links(Protocol):
    """Of one job."""

    def lay(self, plan: Plan, folder: Path) -> None:
        """The job begins, with this folder."""

    def supervisor(self, home: Path, job: str) -> Sequence[str]:
        """The command that supervises a job whose links can be cut."""

    def cut(self, instance: str, endpoint: str) -> None:
        """Nothing comes or goes any more between `endpoint`, where the instance is bound, and those it sends to."""

    def heal(self, instance: str, endpoint: str) -> None: ...

    def close(self) -> None: ...


class RoutedLinks:
    """In a network namespace that is the verifier's own: endpoints are what they are."""

    def lay(self, plan: Plan, folder: Path) -> None:
        """There is nothing to lay."""

    def supervisor(self, home: Path, job: str) -> Sequence[str]:  # noqa: ARG002  # the home is in its environment
        return (sys.executable, "-m", "streamer", "supervise", job)

    def cut(self, instance: str, endpoint: str) -> None:  # noqa: ARG002  # its endpoint says all
        for rule in _rules(endpoint):
            subprocess.run((*_IP, "add", "pref", str(_PRIORITY), *rule, "unreachable"), check=True)

    def heal(self, instance: str, endpoint: str) -> None:  # noqa: ARG002  # its endpoint says all
        for rule in _rules(endpoint):
            subprocess.run((*_IP, "del", "pref", str(_PRIORITY), *rule), check=True)

    def close(self) -> None:
        """The rules end with the namespace."""


def _rules(endpoint: str) -> Sequence[tuple[str, ...]]:
    port = str(urlsplit(endpoint).port)
    return [("ipproto", "tcp", side, port) for side in ("dport", "sport")]


def route_by_rules() -> None:
    """Have rules asked before the table of local addresses. Raises OSError or CalledProcessError if that cannot be."""
    subprocess.run((*_IP, "add", "pref", "100", "lookup", "local"), check=True, capture_output=True)
    subprocess.run((*_IP, "del", "pref", "0"), check=True, capture_output=True)
    links = RoutedLinks()
    links.cut("", "tcp://127.0.0.1:9")
    links.heal("", "tcp://127.0.0.1:9")
