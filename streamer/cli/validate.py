"""`streamer validate`: every finding of descriptors, at once.

What is checked here is what a descriptor can say about itself. Whether files exist and algorithms import is a question
to one machine at one moment, and `run` asks it; so a descriptor can be validated where it is written.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from streamer.cli.exits import BAD_INPUT, OK
from streamer.cli.output import json_line, say
from streamer.connectors.installed import connector_tables
from streamer.descriptor.load import load


def validate(files: tuple[Path, ...], *, as_json: bool) -> int:
    """The exit code."""
    loaded = load(files, connectors=connector_tables())
    if as_json:
        say(json_line({"findings": [dataclasses.asdict(finding) for finding in loaded.findings]}))
    else:
        for finding in loaded.findings:
            say(str(finding))
        if loaded.pipeline is not None and not loaded.findings:
            say(f"{loaded.pipeline.name}: no findings")
    return BAD_INPUT if loaded.findings else OK
