"""The package that docs/connectors.md shows, as another author would publish it: a wheel, installed by pip.

The wheel is put together here, since a backend that builds one is not on every machine.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path

from tests.docs.pages import snippets
from tests.house.source import ROOT

_PAGE = {shown.file: shown.text for shown in snippets(ROOT / "docs" / "connectors.md", "python", "toml")}
_PROJECT = tomllib.loads(_PAGE["pyproject.toml"])["project"]
_BROKEN = {"nonsense": "streamer_broken:nonsense", "broken": "streamer_broken.raising:connector"}


def _files() -> Mapping[str, str]:
    """What the page shows, and beside it connectors that are none."""
    groups = _PROJECT["entry-points"]
    groups["streamer.connectors.sources"] |= _BROKEN
    points = [f"[{group}]\n" + "".join(f"{name} = {at}\n" for name, at in has.items()) for group, has in groups.items()]
    about = f"{_PROJECT['name'].replace('-', '_')}-{_PROJECT['version']}.dist-info"
    return {
        "streamer_countdown.py": _PAGE["streamer_countdown.py"],
        "streamer_broken/__init__.py": "nonsense = 'no connector'\n",
        "streamer_broken/raising.py": "connector = 1 / 0\n",
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {_PROJECT['name']}\nVersion: {_PROJECT['version']}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/entry_points.txt": "".join(points),
        f"{about}/RECORD": "",
    }


def install(folder: Path) -> Path:
    """Install the package into a folder of its own, and give that folder."""
    wheel = folder / "streamer_countdown-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        for name, content in _files().items():
            file.writestr(name, content)
    site = folder / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", site, wheel],
        check=True,
        env={"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"},
    )
    return site
