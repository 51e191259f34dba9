"""The constants of the rule agree with each other, and all that do not are told at once."""

from __future__ import annotations

import pytest

from autoscaler.settings import DEFAULT, Settings
from streamer.errors import SettingsError


def test_the_defaults_agree() -> None:
    assert Settings() == DEFAULT


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"tick_s": 0.0}, "tick_s is 0"),
        ({"utilisation": 1.2}, "utilisation is 1.2"),
        ({"band": 0.5}, "band is 0.5"),
        ({"window_s": 1.0}, "window_s is 1"),
        ({"scale_in_least_s": 400.0}, "scale_in_least_s (400) is above scale_in_most_s (300)"),
        ({"spares": -1}, "spares is -1"),
        ({"season_s": 0.0}, "season_s is 0"),
    ],
)
def test_what_does_not_agree_is_named(fields: dict[str, float], said: str) -> None:
    with pytest.raises(SettingsError) as raised:
        Settings(**fields)  # type: ignore[arg-type]  # numbers of any kind

    assert said in str(raised.value)


def test_everything_wrong_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as raised:
        Settings(tick_s=-1.0, spares=-1)

    assert len(str(raised.value).splitlines()) == 2
