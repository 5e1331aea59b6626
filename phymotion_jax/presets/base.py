"""What all presets have."""

from dataclasses import dataclass, replace
from typing import Literal, get_args

from phymotion_jax.errors import UnknownNameError

Axes = dict[str, tuple[str, ...]]
"""The parts of each axis, in the order of tables. An axis is 1 minus the mean of its parts."""

Level = Literal["capsule", "hull", "mesh"]
"""Detail at which self-penetration is measured: depth of capsules or of convex hulls in each other,
or whether triangles of the surface cross."""

LEVELS: tuple[Level, ...] = get_args(Level)

AXIS_NAMES = ("kinematic", "contact", "dynamic")
"""Every preset's axes. The reward is their mean."""


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What all presets have. Static: another preset is another compiled program."""

    name: str
    """What tables and the command line call it."""

    self_penetration: Level | None = None
    """How self-penetration is measured; None: not at all, and counted as none."""

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

    @property
    def levels(self) -> tuple[Level, ...]:
        """Ways to measure self-penetration that it has."""
        return LEVELS

    def at_level(self, level: Level) -> "Preset":
        """The same with self-penetration measured another way.

        Raises:
          UnknownNameError: with the levels there are.
        """
        if level not in self.levels:
            raise UnknownNameError("level of self-penetration", level, self.levels)
        return replace(self, self_penetration=level)

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
