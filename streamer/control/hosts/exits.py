"""What the end of a process means to a controller: its exit, and the word and page that it left in its folder.

A process that nobody saw end, since it is not ours, has left its exit code there; and what it had done until then
stands on its page, whoever started it. So both hosts read the same two files.
"""

from __future__ import annotations

from pathlib import Path

from streamer.control.events import UNSEEN, Exited
from streamer.control.hosts.home import INSTANCES_FOLDER, page_of
from streamer.platform.base import Exit
from streamer.state.life import CANNOT_OPEN, HANDLER_FAILED, RENEWED, read_life


def exited(folder: Path, exit_: Exit) -> Exited:
    """The event of an exit; `folder` is that of its job."""
    page = page_of(folder, exit_.instance)
    life = read_life(folder / INSTANCES_FOLDER / exit_.instance)
    word = life.code if life is not None and life.epoch == exit_.epoch else None
    seen = word if exit_.code is None else exit_.code
    return Exited(
        exit_.instance,
        exit_.epoch,
        UNSEEN if seen is None else seen,
        exit_.output,
        page.completed if page is not None else 0,
        ended=exit_.code is None and word == 0,
        cannot_open=word == CANNOT_OPEN,
        handler_error=life.error if life is not None and word == HANDLER_FAILED else "",
        renewed=word == RENEWED,
    )
