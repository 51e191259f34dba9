from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.control.cluster.scene import Scene

MakeScene = Callable[..., Scene]


@pytest.fixture
def make_scene(tmp_path: Path) -> Iterator[MakeScene]:
    scenes: list[Scene] = []

    def make(**more: Callable[[], float]) -> Scene:
        scenes.append(Scene(tmp_path, **more))
        return scenes[-1]

    yield make
    for scene in scenes:
        scene.close()


@pytest.fixture
def scene(make_scene: MakeScene) -> Scene:
    """One controller and two machines."""
    made = make_scene()
    made.controller("c1")
    made.agent("a1")
    made.agent("a2")
    return made
