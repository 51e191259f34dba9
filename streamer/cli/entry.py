"""The outermost frame of a command: where errors become text and an exit code, for `streamer` and `autoscaler` alike.

What the user can put right is a message with its remedy and no stack trace. Whatever else arrives here is a defect of
ours, and is shown whole.
"""

from __future__ import annotations

import sys
import traceback

import typer

from streamer.cli.exits import BUG, exit_code
from streamer.cli.output import allow_any_text, tell, tell_error
from streamer.errors import StreamerError


def enter(app: typer.Typer) -> None:
    """Do what the arguments of this process say, and leave with the exit code of what went wrong."""
    allow_any_text()
    try:
        app()
    except StreamerError as error:
        tell_error(error)
        sys.exit(exit_code(error))
    except Exception:  # noqa: BLE001 - the outermost frame: whatever arrives here is a defect of ours and is shown whole
        tell(traceback.format_exc() + "This is a defect of streamer: please report it with the command that led here.")
        sys.exit(BUG)
