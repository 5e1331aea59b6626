"""The chain of the `physical` preset: from a batch to the violations of its twelve parts."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.body.skin import Skin
from phymotion_jax.dynamics import Backend
from phymotion_jax.kernels.stored import stored
from phymotion_jax.kernels.windows import mean_and_worst
from phymotion_jax.motion import MotionBatch
from phymotion_jax.parts.findings import Findings
from phymotion_jax.parts.self_penetration import link_overlap, method
from phymotion_jax.parts.violation import Violation
from phymotion_jax.physical import contact, dynamic, kinematic
from phymotion_jax.physical.forces import forces_of
from phymotion_jax.physical.ramps import SHARPNESS
from phymotion_jax.physical.scene import Scene, scene
from phymotion_jax.physical.slip import slip
from phymotion_jax.presets import PhysicalPreset
from phymotion_jax.state import activity, body_of

_PARTS: dict[str, Callable[[Scene, Humanoid, PhysicalPreset], Violation]] = {
    "kin.velocity": kinematic.velocity,
    "kin.discontinuity": kinematic.discontinuity,
    "kin.joint_limit": kinematic.joint_limit,
    "con.slip": slip,
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
    skin: Skin | None,
) -> Findings:
    """Measure a batch without NaN (from `rest_padding`). Arguments as for `scorer.score`.

    Raises:
      ModelError: for a humanoid that is not SMPL's tree with soles.
    """
    body = body_of(batch, humanoid)
    seen = scene(batch, body, floor, preset, backend)
    found = _violations(seen, body, preset, skin, batch.betas)
    level = method(preset.self_penetration, skin)
    return Findings(
        parts=_over_clip(found, seen, preset),
        activity=activity(seen.state),
        floor=seen.state.floor,
        methods=(("kin.self_penetration", level), ("dynamics", backend)),
        details={},
        forces=forces_of(seen, body),
    )


def _violations(
    seen: Scene,
    body: Humanoid,
    preset: PhysicalPreset,
    skin: Skin | None,
    betas: Float[Array, "B 10"],
) -> dict[str, Violation]:
    found = {name: part(seen, body, preset) for name, part in _PARTS.items()}
    if preset.self_penetration is not None:
        overlap = link_overlap(preset.self_penetration, seen.state, body, skin, betas)
        found["kin.self_penetration"] = kinematic.self_penetration(overlap, preset)
    return found


def _over_clip(
    found: dict[str, Violation], seen: Scene, preset: PhysicalPreset
) -> dict[str, Violation]:
    """Half the mean, half the worst window's: length and frame rate drop out, one event shows.

    Of a slow clip's frames, those that were given remain.
    """
    trust = 1.0 - preset.artefact_share * seen.roughness.artefact
    whole = jnp.ones_like(trust)
    trusts = {name: trust if name in _FORCES else whole for name in found}
    arrays = {
        name: (trusts[name] * part.frame, trusts[name] * part.by_row)
        for name, part in found.items()
    }
    # Read three times from here on: without the barrier XLA computes the parts three times.
    arrays = stored(arrays)
    frames = jnp.stack([frame for frame, _ in arrays.values()])
    sharpness = SHARPNESS if preset.smooth else float("inf")
    # A frame that is not judged drops out: else noise would better what is bad besides.
    trusted = jnp.stack([trusts[name] for name in arrays])  # in another order now
    clock = (seen.state.mask, seen.state.fps, preset.window_s)
    mean, worst = mean_and_worst(frames, *clock, sharpness, trusted)
    values = dict(zip(arrays, jnp.minimum(0.5 * (mean + worst), 1.0), strict=True))
    given = seen.frames.at_given
    severity = {name: p.severity for name, p in found.items() if p.severity is not None}
    return {
        name: found[name]._replace(
            frame=given(frame),
            by_row=given(by_row),
            value=values[name],
            severity=given(severity[name]) if name in severity else None,
        )
        for name, (frame, by_row) in arrays.items()
    }
