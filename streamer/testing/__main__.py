"""`python -m streamer.testing --shape chain --seed 123`: play one seed again, with its choices and faults shown.

A simulation that fails prints this command. Without `--seed` it plays seeds from 0 on, `--count` of them; exit code 1
says that a promise was broken.
"""

from __future__ import annotations

import argparse
import sys

from streamer.testing.play import play_of
from streamer.testing.promises import PromiseError
from streamer.testing.shapes import SHAPES


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m streamer.testing", description="Play simulated jobs.")
    parser.add_argument("--shape", choices=sorted(SHAPES), action="append", help="may be given again; default: all")
    parser.add_argument("--seed", type=int, help="play this one, and tell about it")
    parser.add_argument("--count", type=int, default=100, help="seeds of each shape (default 100)")
    options = parser.parse_args()
    seeds = range(options.count) if options.seed is None else [options.seed]
    failures = 0
    for name in options.shape or SHAPES:
        for seed in seeds:
            play = play_of(SHAPES[name], seed)
            if options.seed is not None:
                sys.stdout.write("\n".join([str(play.choices), *map(str, (*play.faults, *play.changes)), ""]))
            try:
                world = play.run()
            except PromiseError as error:
                failures += 1
                sys.stdout.write(f"--shape {name} --seed {seed}: {error}\n")
            else:
                if options.seed is not None:
                    told = f"ended after {world.clock.elapsed_s:.3f} s and {world.steps} steps"
                    edges = map(str, world.account().edges)
                    sys.stdout.write("\n".join([told, f"deaths: {dict(world.deaths)}", *edges, ""]))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
