"""Loads the files of an example as modules, and plays the instance around them.

Examples lie in folders that no import can name, as a user's pipeline does, so they are loaded by path.
"""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from tests.house.source import ROOT

EXAMPLES = ROOT / "examples"


def load_algorithm(example: str, name: str) -> ModuleType:
    """A fresh module, with none of the state that an earlier test left."""
    spec = importlib.util.spec_from_file_location(f"{example}_{name}", EXAMPLES / example / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look up the names in annotations
    spec.loader.exec_module(module)
    return module


@dataclass
class Outbox:
    """An `api` that keeps what was sent, with the flow it was sent to."""

    sent: list[tuple[Any, str | None]] = field(default_factory=list)

    def sendMessage(self, msg: Any, flowName: str | None = None) -> None:  # noqa: N802, N803 - the names of the api
        self.sent.append((msg, flowName))
