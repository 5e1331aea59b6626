"""What all presets have."""

from dataclasses import dataclass
from typing import Literal, get_args

from phymotion_jax.errors import UnknownNameError

Axes = dict[str, tuple[str, ...]]
"""The parts of each axis, in the order of tables. An axis is 1 minus the mean of its parts."""

Level = Literal["capsule", "hull", "mesh"]
"""Of detail at which self-penetration is measured."""

LEVELS: tuple[Level, ...] = get_args(Level)

AXIS_NAMES = ("kinematic", "contact", "dynamic")
"""Every preset's axes. The reward is their mean."""


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What all presets have. Static: another preset is another compiled program."""

    name: str
    """What tables and the command line call it."""

    @property
    def axes(self) -> Axes:
        """The parts of each axis."""
        raise NotImplementedError

    @property
    def parts(self) -> tuple[str, ...]:
        """All parts, in the order of tables."""
        return tuple(part for parts in self.axes.values() for part in parts)

    @property
    def details(self) -> tuple[str, ...]:
        """Further columns that a preset has."""
        return ()

    def smoothed(self) -> "Preset":
        """The same with ramps and maxima made for gradients.

        Raises:
          UnknownNameError: where there is no such form.
        """
        raise UnknownNameError("smooth form of a preset", self.name, ("physical",))

    @property
    def clean(self) -> dict[str, list[float]]:
        """Scores of clean captures by "reward" and by part, in rising order; none where the preset
        has not been tried on them."""
        return {}

    @property
    def failed_reward(self) -> float:
        """Reward and axes of a clip that cannot be scored."""
        return float("nan")
