"""The autoscaler as a process of its own, for the jobs of a platform, by a Prometheus server or by their own pages.

It holds nothing that cannot be lost: what it has learnt of rates it learns again within a window, and meanwhile every
node keeps what it has. So it may be stopped, killed and started anywhere, at any time. Only one may serve a platform,
and a second one is refused.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from autoscaler.collect.base import MetricsSource
from autoscaler.collect.fallback import WithFallback
from autoscaler.collect.jobs import span_s
from autoscaler.collect.prometheus import Prometheus
from autoscaler.collect.scrape import Scraping
from autoscaler.collect.web import Access
from autoscaler.instruments import shown
from autoscaler.local import LocalJobs
from autoscaler.loop import Autoscaler
from autoscaler.settings import DEFAULT, Settings
from streamer import clock
from streamer.control.hosts.home import open_log
from streamer.descriptor.resources import Capacity
from streamer.errors import OptionError, SupervisedError
from streamer.log.sqlite import SqliteLog

PLATFORMS = ("local",)
_LOCK = "autoscaler.lock"
_NAP_S = 0.2


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """`prometheus` '' reads the jobs' own pages. `metrics_port` None: the service shows no metrics of its own."""

    home: Path
    platform: str = "local"
    prometheus: str = ""
    access: Access = field(default_factory=Access)
    capacity: Capacity = field(default_factory=Capacity)
    metrics_port: int | None = None
    settings: Settings = DEFAULT


def serve(options: ServiceOptions, tell: Callable[[str], None]) -> None:
    """Scale the platform's jobs until SIGINT or SIGTERM. Raises StreamerError for what cannot be used as given."""
    check_platform(options.platform)
    _check_season(options)
    options.access.check()
    with ExitStack() as held:
        log = open_log(options.home)
        held.callback(log.close)
        held.enter_context(_alone(options.home))
        ended = held.enter_context(_ended_by_signals())
        autoscaler = service_of(options, log, tell)
        if options.metrics_port is not None:
            tell(f"metrics  {held.enter_context(shown(autoscaler.instruments, options.metrics_port))}")
        tell(f"scaling the jobs of {options.home} by {options.prometheus or 'their own metrics'}")
        while not ended:
            time.sleep(min(_NAP_S, autoscaler.look()))


def check_platform(name: str) -> None:
    if name not in PLATFORMS:
        raise OptionError(
            f"there is no platform {name!r} in this version",
            remedy=f"Give one of: {', '.join(PLATFORMS)} (jobs of this machine, below $STREAMER_HOME).",
        )


def _check_season(options: ServiceOptions) -> None:
    if options.settings.season_s is not None and not options.prometheus:
        raise OptionError(
            "a season is looked up in the history of a metrics server, and none is named",
            remedy="Give --prometheus URL too, or leave --season out.",
        )


def service_of(options: ServiceOptions, log: SqliteLog, tell: Callable[[str], None]) -> Autoscaler:
    """The loop for these options, on a log that is open. Raises MetricsError for an address that is none."""
    jobs = LocalJobs(log, clock=clock.now, wall=clock.wall)
    source: MetricsSource = Scraping(jobs.addresses, span_s=span_s(options.settings), wall=clock.wall)
    if options.prometheus:
        server = Prometheus(
            options.prometheus, options.access, span_s=span_s(options.settings), season_s=options.settings.season_s
        )
        source = WithFallback(server, source)
    return Autoscaler(
        jobs, source, options.capacity, settings=options.settings, clock=clock.now, wall=clock.wall, tell=tell
    )


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Hold the lock of this home's autoscaler, which ends with the process."""
    fd = os.open(home / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise SupervisedError(
            f"another autoscaler serves the jobs of {home}",
            remedy="Leave them to it, or end that process first: two would undo each other's decisions.",
        ) from error
    else:
        yield
    finally:
        os.close(fd)


@contextmanager
def _ended_by_signals() -> Iterator[list[int]]:
    """The signals to end that have come: a handler may do no more than note them."""
    ended: list[int] = []

    def end(number: int, _frame: FrameType | None) -> None:
        ended.append(number)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
