"""`Violation`: one way of making a clip wrong, and how wrong."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from phymotion_jax.errors import UnknownNameError
from phymotion_jax.motion import Motion

Axis = Literal["kinematic", "contact", "dynamic", "none"]

Part = Literal[
    "kin.velocity",
    "kin.discontinuity",
    "kin.self_penetration",
    "kin.joint_limit",
    "con.slip",
    "con.ground_penetration",
    "con.float",
    "con.balance",
    "dyn.torque",
    "dyn.grf",
    "dyn.effort",
    "dyn.residual",
]

Needs = Literal["any", "movement", "travel", "flight", "stance"]
"""What a clean clip must have: nothing; joints that move; a walk across the floor; a jump; feet
that carry the body."""

LEVELS = ("weak", "middle", "strong")
"""Names of the three strengths."""

Edit = Callable[[Motion, float, int], Motion]
"""A clip, a strength in the violation's unit, and a seed, to another clip.

`Motion.static_conf` goes along frame by frame: it is what an estimator said that saw the video, not
the motion that it recovered, and vouches for feet that now hover or skate. Scores must see through
that; without confidences they would be spared the harder case."""


@dataclass(frozen=True)
class Violation:
    """One edit that physics forbids, with three strengths of it."""

    name: str
    """What tables call it."""

    axis: Axis
    """Axis of the score that should fall most; "none" for a control."""

    parts: tuple[Part, ...]
    """Parts that should see it, the foremost first. Others may see it too."""

    strengths: tuple[float, float, float]
    """Weak, middle and strong, in `unit`."""

    unit: str
    """Unit of the strengths."""

    reason: str
    """Why these numbers."""

    apply: Edit
    """The edit itself."""

    needs: Needs = "any"
    """What the clean clip must have for the edit to be a violation."""

    def strength(self, level: str) -> float:
        """The number behind "weak", "middle" or "strong".

        Raises:
          UnknownNameError: if it is none of them.
        """
        if level not in LEVELS:
            raise UnknownNameError("strength", level, LEVELS)
        return self.strengths[LEVELS.index(level)]
