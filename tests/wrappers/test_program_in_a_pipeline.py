"""A program written for `Algorunner.Run` runs in a pipeline as it is, stateless and stateful.

The programs are HKube's in form: everything is handed over under `if __name__ == "__main__"`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

PIPELINE = """
name: programs
kind: stream
nodes:
  - {nodeName: numbers, kind: source, spec: {connector: generator, count: 5}}
  - {nodeName: double, algorithmName: double, stateType: stateless}
  - {nodeName: total, algorithmName: total, stateType: stateful}
  - {nodeName: show, kind: sink, spec: {connector: stdout, format: jsonl}}
streaming: {flows: {main: numbers >> double >> total >> show}}
---
{name: double, code: {path: double.py}}
---
{name: total, code: {path: total.py}}
"""

DOUBLE = """
from dataclasses import dataclass

from streamer_algorithm import Algorunner

@dataclass
class Number:
    value: int

def begin(args, api):
    return 2 * Number(args["streamInput"]["message"]["id"]).value

if __name__ == "__main__":
    Algorunner.Run(start=begin)
"""

TOTAL = """
from streamer_algorithm import Algorunner

class Total:
    def __init__(self):
        self.sum = 0
        self.phases = []

    def init(self, args):
        self.phases.append("init")

    def start(self, args, api):
        self.phases.append("start")

        def on_message(msg, origin):
            self.sum += msg
            api.send_message({"sum": self.sum, "origin": origin, "phases": self.phases})

        api.register_input_listener(on_message)
        api.start_message_listening()

    def exit(self, args):
        print("exit at", self.sum)

def main():
    total = Total()
    Algorunner.Run(start=total.start, init=total.init, exit=total.exit)

if __name__ == "__main__":
    main()
"""


def test_programs_with_a_main_of_their_own_run_in_a_pipeline(tmp_path: Path) -> None:
    for name, text in (("pipeline.yaml", PIPELINE), ("double.py", DOUBLE), ("total.py", TOTAL)):
        (tmp_path / name).write_text(text, encoding="utf-8")

    done = subprocess.run(
        [str(Path(sys.executable).with_name("streamer")), "run", "pipeline.yaml"],
        cwd=tmp_path,
        env=os.environ | {"STREAMER_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    totals = [json.loads(line) for line in done.stdout.splitlines()]
    assert [total["sum"] for total in totals] == [0, 2, 6, 12, 20]
    assert {total["origin"] for total in totals} == {"double"}
    assert totals[0]["phases"] == ["init", "start"]
    assert "total total-0 | exit at 20" in done.stderr
