"""The chain of the `physical` preset: from a batch to the violations of its twelve parts."""

from collections.abc import Callable

import jax
from jaxtyping import Array, Float

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.body.skeleton import require_smpl
from phymotion_jax.dynamics import Backend
from phymotion_jax.kernels.windows import mean_and_worst
from phymotion_jax.motion import MotionBatch
from phymotion_jax.parts.findings import Findings
from phymotion_jax.parts.violation import Violation
from phymotion_jax.physical import contact, dynamic, kinematic
from phymotion_jax.physical.forces import forces_of
from phymotion_jax.physical.ramps import SHARPNESS
from phymotion_jax.physical.scene import Scene, scene
from phymotion_jax.presets import PhysicalPreset
from phymotion_jax.state import activity

_PARTS: dict[str, Callable[[Scene, Humanoid, PhysicalPreset], Violation]] = {
    "kin.velocity": kinematic.velocity,
    "kin.discontinuity": kinematic.discontinuity,
    "kin.self_penetration": kinematic.self_penetration,
    "kin.joint_limit": kinematic.joint_limit,
    "con.slip": contact.slip,
    "con.ground_penetration": contact.ground_penetration,
    "con.float": contact.floating,
    "con.balance": contact.balance,
    "dyn.torque": dynamic.torque,
    "dyn.grf": dynamic.ground_force,
    "dyn.effort": dynamic.effort,
    "dyn.residual": dynamic.residual,
}


_FORCES = ("con.slip", "con.balance", "dyn.torque", "dyn.grf", "dyn.effort", "dyn.residual")
"""Parts that differences between frames decide: an artefact's say little of them."""


def measure_physical(
    batch: MotionBatch,
    humanoid: Humanoid | None,
    floor: Float[Array, " B"] | None,
    preset: PhysicalPreset,
    backend: Backend,
) -> Findings:
    """Measure a batch without NaN (from `rest_padding`). Arguments as for `scorer.score`.

    Raises:
      ModelError: for a humanoid that is not SMPL's tree with soles.
    """
    body = Humanoid.from_betas(batch.betas, batch.mass_kg) if humanoid is None else humanoid
    require_smpl(body.parents, len(body.feet))
    seen = scene(batch, body, floor, preset, backend)
    parts = {}
    for name, part in _PARTS.items():
        found = part(seen, body, preset)
        if name in _FORCES:
            trust = 1.0 - preset.artefact_share * seen.roughness.artefact
            found = found._replace(frame=trust * found.frame, by_row=trust * found.by_row)
        # Read three times from here on: without the barrier XLA computes the part three times.
        frame, by_row = jax.lax.optimization_barrier((found.frame, found.by_row))
        found = found._replace(frame=frame, by_row=by_row)
        parts[name] = found._replace(value=_over_clip(found.frame, batch, preset))
    return Findings(
        parts=parts,
        activity=activity(seen.state),
        floor=seen.state.floor,
        methods=(("kin.self_penetration", preset.self_penetration), ("dynamics", backend)),
        details={},
        forces=forces_of(seen, body),
    )


def _over_clip(
    frame: Float[Array, "B T"], batch: MotionBatch, preset: PhysicalPreset
) -> Float[Array, " B"]:
    """Half the mean, half the worst window's: length and frame rate drop out, one event shows."""
    sharpness = SHARPNESS if preset.smooth else float("inf")
    mean, worst = mean_and_worst(frame, batch.mask, batch.fps[:, None], preset.window_s, sharpness)
    return 0.5 * (mean + worst)
