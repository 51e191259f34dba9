"""A package with connectors, as another author would publish it: built as a wheel and installed by pip.

Its wheel is put together here, since a backend that builds one is not on every machine.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

_CODE = '''
from pathlib import Path

from streamer.connectors.plugin import (
    START, ConnectorShape, Mark, Records, SinkConnector, SourceConnector, SpecField, text, whole,
)


class Countdown:
    """`word start`, and so on down to 1."""

    replayable = True
    partition = "countdown"

    def __init__(self, spec, state):
        self._spec = spec
        self._next = 0

    @property
    def ended(self):
        return self._next >= self._spec["start"]

    def open(self, mark):
        self._next = mark.position

    def read(self, limit, now):
        first = self._next
        self._next = min(first + limit, self._spec["start"])
        positions = range(first, self._next)
        values = [f"{self._spec['word']} {self._spec['start'] - n}" for n in positions]
        return Records(Mark(first, 0), positions, values) if values else None

    def wait_s(self, now):
        return 0.0

    def fileno(self):
        return None

    def close(self):
        pass


def problems(spec):
    return ["13 brings bad luck. Choose another."] if spec["start"] == 13 else []


countdown = SourceConnector(
    make=Countdown,
    shape=ConnectorShape({
        "start": SpecField(whole(1), required=True, example="start: 10"),
        "word": SpecField(text(), "T minus"),
    }),
    problems=problems,
)


class Tee:
    """Values as lines of text."""

    def __init__(self, spec, state):
        self._path = Path(spec["path"])

    def open(self, restarted):
        self._file = self._path.open("a")

    def write(self, values):
        self._file.writelines(f"{value}\\n" for value in values)
        self._file.flush()

    def close(self):
        self._file.close()


tee = SinkConnector(
    make=Tee,
    shape=ConnectorShape({"path": SpecField(text(what="a path"), required=True, example="path: x")}, paths=("path",)),
)
nonsense = "no connector"
'''
_FILES = {
    "streamer_countdown.py": _CODE,
    "streamer_broken.py": "connector = 1 / 0\n",
    "streamer_countdown-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: streamer-countdown\nVersion: 1.0\n",
    "streamer_countdown-1.0.dist-info/WHEEL": (
        "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    ),
    "streamer_countdown-1.0.dist-info/entry_points.txt": (
        "[streamer.connectors.sources]\n"
        "countdown = streamer_countdown:countdown\n"
        "nonsense = streamer_countdown:nonsense\n"
        "broken = streamer_broken:connector\n"
        "[streamer.connectors.sinks]\n"
        "tee = streamer_countdown:tee\n"
    ),
}


def install(folder: Path) -> Path:
    """Install the package into a folder of its own, and give that folder."""
    wheel = folder / "streamer_countdown-1.0-py3-none-any.whl"
    record = "streamer_countdown-1.0.dist-info/RECORD"
    with zipfile.ZipFile(wheel, "w") as file:
        for name, content in _FILES.items():
            file.writestr(name, content)
        file.writestr(record, "".join(f"{name},,\n" for name in (*_FILES, record)))
    site = folder / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", site, wheel],
        check=True,
        env={"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"},
    )
    return site
