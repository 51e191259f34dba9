"""`--kafka HOST:PORT`, which every command takes that looks at jobs: whether they are those of a cluster.

The option is the command's class and not a parameter of each: none of them does anything else because of it, they find
other jobs. Without it the environment decides, and without that it is the log of this machine.
"""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperOption

STREAMER_KAFKA = "STREAMER_KAFKA"
_HELP = "The cluster's Kafka brokers, HOST:PORT[,HOST:PORT]; without it the jobs are those of this machine."

_chosen = ""


def chosen_cluster() -> str:
    """The addresses of its brokers; empty for this machine."""
    return _chosen


def _choose(_context: object, _option: object, value: str | None) -> None:
    global _chosen
    _chosen = value or ""


class OnKafka(TyperCommand):
    """A command that works on the jobs of a cluster as on those of this machine."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.params.append(
            TyperOption(
                param_decls=["--kafka"],
                metavar="HOST:PORT",
                help=_HELP,
                envvar=STREAMER_KAFKA,
                show_envvar=True,
                expose_value=False,
                type=str,
                callback=_choose,
            )
        )
