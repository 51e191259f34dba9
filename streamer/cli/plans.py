"""From descriptors on the command line to a plan: what `run` and `update` begin with.

What is wrong in them is told whole, each finding with its place, before anything of a job exists or changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from streamer.cli.output import tell
from streamer.connectors.installed import connector_tables
from streamer.descriptor.load import load
from streamer.plan.compile import Plan, compile_plan


def compiled(files: Sequence[Path], settings: Sequence[str], inputs: Sequence[str], *, folder: Path) -> Plan | None:
    """The plan; None if there were findings, which are told. Relative paths of connectors begin in `folder`.

    Raises DescriptorError for what this version cannot run.
    """
    loaded = load(files, settings=settings, inputs=inputs, connectors=connector_tables())
    if loaded.findings or loaded.pipeline is None:
        for finding in loaded.findings:
            tell(str(finding))
        return None
    return compile_plan(loaded.pipeline, loaded.algorithms, folder=folder)
