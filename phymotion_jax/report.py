"""What a score says: the reward, its axes and parts, and where in each clip they were lost."""

import jax
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from phymotion_jax.body.skeleton import BODY_NAMES
from phymotion_jax.checks import FPS_RANGE
from phymotion_jax.errors import Status
from phymotion_jax.presets import Preset


@struct.dataclass
class Forces:
    """Forces behind a score, in world axes. Axes: ``B`` clips, ``T`` frames, ``L`` links.

    Zero on padding, where feet have no centre of pressure. Only the `physical` preset solves for
    them.
    """

    ground: Float[Array, "B T 3 3"]
    """Of the ground on the left foot, the right foot and the rest of the body, in N."""

    cop: Float[Array, "B T 2 3"]
    """Each foot's centre of pressure, in metres; NaN where the foot carries less than 20 N."""

    residual_force: Float[Array, "B T 3"]
    """What the ground could not supply, in N."""

    residual_moment: Float[Array, "B T 3"]
    """The same of the moment about the centre of mass, in N·m."""

    torque: Float[Array, "B T L 3"]
    """Across each joint with the ground's forces at work, in the link's own axes, in N·m; the
    root's is what nothing supplies."""

    def moved_by(self, origin: Float[Array, "B 2"]) -> "Forces":
        """The same where the origin lies elsewhere over the floor, in metres."""
        return self.replace(cop=self.cop.at[..., :2].add(origin[:, None, None]))


@struct.dataclass
class Report:
    """Scores of a batch. Axes: ``B`` clips, ``T`` frames, ``L`` links.

    Axes and reward are scores (1 is best); parts are violations (0 is best). A clip that could not
    be scored has `valid` False, its reason in `status`, and NaN everywhere: never a silent zero. A
    part that could not be measured on any clip (`reference` without a mesh) is NaN too.
    """

    reward: Float[Array, " B"]
    """Mean of the axes."""

    axes: dict[str, Float[Array, " B"]]
    """Score of each axis."""

    parts: dict[str, Float[Array, " B"]]
    """Violation of each part over the clip, in [0, 1]."""

    frames: dict[str, Float[Array, "B T"]]
    """Violation of each part on each frame, in [0, 1]; 0 on padding."""

    links: dict[str, Float[Array, "B L"]]
    """What each link adds to a part: its own violation, averaged over the clip's frames."""

    worst_frame: dict[str, Int[Array, " B"]]
    """Frame of the largest violation of each part; -1 where there is none."""

    worst_link: dict[str, Int[Array, " B"]]
    """Link to blame on that frame; -1 where there is none."""

    percentiles: dict[str, Float[Array, " B"]]
    """Share of clean captures that do better, by "reward" and by part, from 0 to 1: is this clip
    clean? Empty for presets that have not been tried on any."""

    details: dict[str, Float[Array, " B"]]
    """Further figures of a preset, in units of their own; most presets have none."""

    activity: Float[Array, " B"]
    """Mean speed of the links, in m/s. A diagnostic: standing still must not pay."""

    floor_height: Float[Array, " B"]
    """Height of the floor that was used, in metres; of a levelled clip, under where feet stood."""

    valid: Bool[Array, " B"]
    """Whether the clip could be scored."""

    status: Int[Array, " B"]
    """A `Status` for each clip."""

    forces: Forces | None
    """Forces, where they were asked for and the preset has them."""

    preset: Preset = struct.field(pytree_node=False)
    """Which parts there are, and in what order: dictionaries lose theirs in a jitted call."""

    methods: tuple[tuple[str, str], ...] = struct.field(pytree_node=False, default=())
    """How a part was measured where there are several ways, as (part, method)."""

    def on_host(self) -> "Report":
        """The same with numpy arrays, in one transfer."""
        return jax.device_get(self)

    def worst_joint_name(self, part: str, clip: int) -> str:
        """Name of the joint to blame for a part, or an empty string."""
        index = int(np.asarray(self.worst_link[part])[clip])
        return BODY_NAMES[index] if index >= 0 else ""

    def reason(self, clip: int) -> str:
        """One line on why a clip could not be scored, or an empty string."""
        return _REASONS.get(Status(int(np.asarray(self.status)[clip])), "")


_REASONS = {
    Status.EMPTY: "no frames",
    Status.GAP: "padding before or between real frames; they have to come first",
    Status.TOO_SHORT: "too few frames for an acceleration",
    Status.BAD_FPS: "the frame rate is not one of {:g} to {:g} a second".format(*FPS_RANGE),
    Status.NOT_FINITE: "NaN or infinity on a real frame",
    Status.BAD_ROTATION: "a quaternion is far from unit norm",
    Status.BAD_UNITS: "positions or floor cannot be metres, betas standard deviations, the mass "
    "kilograms or static_conf probabilities",
}
