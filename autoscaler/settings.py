"""The constants of the rule, each with its reason; what a user may change stands here and nowhere else.

They were chosen in the simulation (docs/autoscaling.md has the figures), on traces besides those that the tests judge.
"""

from __future__ import annotations

from dataclasses import dataclass

from streamer.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Settings:
    """`utilisation`: the part of their time that replicas are meant to be busy. `band`: nothing grows before demand is
    so much above it. `catch_up_s`: what waits is to be worked off in this time once new replicas are ready.
    `scale_in_s`: replicas leave when the demand of so long has not asked for them; None: `start_ups_in` start-up times,
    between `scale_in_least_s` and `scale_in_most_s`, as a replica that is missed costs its start-up. `late_s`: what
    waits for longer is a reason to act. `idle_s`: a node of no demand goes to zero after this, where its least is zero.
    `gpu_patience`: by how much longer nodes with accelerators keep their replicas in both cases, as what they load
    takes long. `stale_s`: an older sample is none. `start_up_s`: expected until one was measured. `spares`: replicas of
    each scalable node that are kept at work beyond what its demand asks for. `season_s`: how long it takes until load
    repeats; what came a season ago is then prepared for (None: nothing is).
    """

    tick_s: float = 5.0
    window_s: float = 15.0
    utilisation: float = 0.75
    band: float = 0.1
    catch_up_s: float = 15.0
    scale_in_s: float | None = None
    start_ups_in: float = 2.0
    scale_in_least_s: float = 40.0
    scale_in_most_s: float = 300.0
    late_s: float = 5.0
    idle_s: float = 300.0
    gpu_patience: float = 3.0
    stale_s: float = 30.0
    start_up_s: float = 20.0
    spares: int = 0
    season_s: float | None = None

    def __post_init__(self) -> None:
        if wrong := self._wrong():
            raise SettingsError("\n".join(wrong))

    def _wrong(self) -> list[str]:
        positive = ("tick_s", "window_s", "catch_up_s", "start_ups_in", "scale_in_least_s", "late_s", "stale_s")
        wrong = [
            f"{name} is {getattr(self, name):g}, and must be above 0" for name in positive if getattr(self, name) <= 0
        ]
        if not 0.1 <= self.utilisation <= 0.95:
            wrong.append(f"utilisation is {self.utilisation:g}, and must be between 0.1 and 0.95")
        if not 0 <= self.band <= 1 - self.utilisation:
            wrong.append(f"band is {self.band:g}: utilisation and band together must not be above 1")
        if self.window_s < self.tick_s:
            wrong.append(f"window_s is {self.window_s:g}, and must be at least tick_s ({self.tick_s:g})")
        if self.scale_in_least_s > self.scale_in_most_s:
            wrong.append(
                f"scale_in_least_s ({self.scale_in_least_s:g}) is above scale_in_most_s ({self.scale_in_most_s:g})"
            )
        if self.season_s is not None and self.season_s <= 0:
            wrong.append(f"season_s is {self.season_s:g}, and must be above 0")
        if self.spares < 0:
            wrong.append(f"spares is {self.spares}, and must not be negative")
        return wrong


DEFAULT = Settings()
