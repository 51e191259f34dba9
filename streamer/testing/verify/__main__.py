"""`python -m streamer.testing.verify`: jobs of all shapes under a seed's faults, and one line about the promises.

It goes from shape to shape, a job of some faults each, until it has struck as often, or for as long, as it was told.
What it does is told as it goes; standard output has the verdict and nothing else.
"""

from __future__ import annotations

import argparse
import math
import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from streamer import clock
from streamer.testing.verify.checker import Verdict
from streamer.testing.verify.links import Links, RoutedLinks
from streamer.testing.verify.proxy import ProxiedLinks
from streamer.testing.verify.room import NoRoomError, enter_room
from streamer.testing.verify.schedule import Deck
from streamer.testing.verify.shapes import SHAPES
from streamer.testing.verify.trial import Bench, Limits, Trial

_ALL = "all"
_INTERRUPTED = 130
_FAULTS = 60
_FAULTS_OF_A_JOB = 8
_JOB_S = 8.0
"""Less time than this is not worth another job."""
_END_S = 25.0
"""A job is gone so long after the last fault, whatever became of it; the rest of 30 s is for Python's start and the
verdict."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    if sys.platform != "linux":
        _tell("the verifier finds, stops and limits processes as Linux does it, and runs there only")
        return 2
    seed = options.seed if options.seed is not None else secrets.randbelow(1_000_000)
    faults = options.faults or (_FAULTS if options.seconds is None else 0)
    own_room = options.links != "proxy" and _can_have_room()
    if options.links == "namespace" and not own_room:
        _tell("this machine gives no network namespaces: leave --links out, or give --links proxy")
        return 2
    if own_room:
        enter_room()
    _tell(f"seed {seed}; links are cut by {'rules in a network namespace' if own_room else 'proxies'}")
    folder = Path(tempfile.mkdtemp(prefix="streamer-verify-"))
    links: Links = RoutedLinks() if own_room else ProxiedLinks()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with closing(links):
            bench = Bench(folder, links, own_room, _tell)
            verdict = _verify(bench, options.shape, seed, faults, options.seconds)
    except KeyboardInterrupt:
        shutil.rmtree(folder, ignore_errors=True)
        _tell("interrupted: there is no verdict")
        return _INTERRUPTED
    if verdict.kept:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        _tell(f"a promise was broken: {folder} is kept\nagain: {_again(options, seed, faults)}")
    sys.stdout.write(verdict.to_json() + "\n")
    return 0 if verdict.kept else 1


def _verify(bench: Bench, shape: str, seed: int, faults: int, seconds: float | None) -> Verdict:
    """Job after job, until so many faults have struck (0: any number) or the time is over."""
    began = clock.now()
    stop_at = math.inf if seconds is None else began + seconds
    shapes = list(SHAPES.values()) if shape == _ALL else [SHAPES[shape]]
    deck = Deck(seed)
    each = min(_FAULTS_OF_A_JOB, max(1, -(-faults // len(shapes)))) if faults else _FAULTS_OF_A_JOB
    total = Verdict(seed, shape)
    number = 0
    while number == 0 or (not _is_enough(total, faults) and clock.now() < stop_at - _JOB_S):
        one = shapes[number % len(shapes)]
        schedule = deck.schedule(one, each)
        left = faults - sum(total.faults.values()) if faults else each
        folder = bench.folder / f"{number}-{one.name}"
        folder.mkdir()
        speed = f", {schedule.rate_per_s:g} messages/s" if one.sources else ""
        bench.tell(f"job {number}, {one.name}{speed}: {one.flows[0]}")
        trial = Trial(one, schedule, bench, folder, Limits(left, stop_at, stop_at + _END_S))
        verdict = trial.run(Verdict(seed, shape))
        if verdict.kept:
            shutil.rmtree(folder)
        total = total.plus(verdict)
        number += 1
    bench.tell(f"{number} jobs, {sum(total.faults.values())} faults, {clock.now() - began:.0f} s")
    return total


def _is_enough(total: Verdict, faults: int) -> bool:
    return bool(faults) and sum(total.faults.values()) >= faults


def _can_have_room() -> bool:
    """Tried in a child, since a process that has entered half of one cannot leave it."""
    child = os.fork()
    if child == 0:
        try:
            enter_room()
        except NoRoomError:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return status == 0


def _again(options: argparse.Namespace, seed: int, faults: int) -> str:
    wanted = f" --faults {faults}" if faults else ""
    seconds = f" --seconds {options.seconds:g}" if options.seconds is not None else ""
    rest = f"{wanted}{seconds} --seed {seed} --links {options.links}"
    return f"python -m streamer.testing.verify --shape {options.shape}{rest}"


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m streamer.testing.verify",
        description="Run real jobs, kill, stop, cut and fill what they consist of, and count what was lost.",
        epilog="The seed decides which faults strike which node of which job, and when; the processes' own time is "
        "theirs, so the same seed brings the same faults and not the same outcome. Exit codes: 0 every promise was "
        "kept, 1 one was broken, 2 bad options.",
    )
    parser.add_argument("--shape", choices=[*SHAPES, _ALL], default=_ALL, help="of the pipelines (default: all)")
    parser.add_argument("--faults", type=_whole, default=0, help="stop after so many (default 60, without --seconds)")
    parser.add_argument("--seconds", type=_seconds, help="stop after so long; the last job is ended within 30 s more")
    parser.add_argument("--seed", type=int, help="bring the faults of this one (default: another one each time)")
    parser.add_argument(
        "--links",
        choices=["auto", "namespace", "proxy"],
        default="auto",
        help="cut links in a network namespace, by proxies, or by what there is (default)",
    )
    return parser.parse_args(arguments)


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number of faults: give 1 or more")
    return int(text)


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no time: give seconds, more than 0")
    return number


if __name__ == "__main__":
    sys.exit(main())
