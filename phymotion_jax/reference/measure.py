"""The chain of the `reference` preset: from a batch to the published code's sub-scores."""

from jaxtyping import Array, Float

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.body.published import published_humanoid
from phymotion_jax.body.skin import Skin
from phymotion_jax.dynamics import Backend
from phymotion_jax.errors import ModelError
from phymotion_jax.motion import MotionBatch
from phymotion_jax.paper import kinematic
from phymotion_jax.parts.findings import Findings
from phymotion_jax.parts.self_penetration import method
from phymotion_jax.parts.violation import Violation
from phymotion_jax.presets import ReferencePreset
from phymotion_jax.reference import parts
from phymotion_jax.reference.scene import Scene, scene
from phymotion_jax.state import activity


def measure_reference(
    batch: MotionBatch,
    humanoid: Humanoid | None,
    floor: Float[Array, " B"] | None,
    preset: ReferencePreset,
    backend: Backend,
    skin: Skin | None,
) -> Findings:
    """Measure a batch without NaN (from `rest_padding`). Arguments as for `scorer.score`.

    The published code's offset of the pelvis (its `transl` is taken for the pelvis' place) needs no
    switch: it shifts a clip as a whole, and nothing here depends on where a clip is.

    Raises:
      ModelError: for a humanoid; this preset has its own.
    """
    if humanoid is not None:
        raise ModelError("the reference preset scores on the published humanoid; give it no other")
    seen = scene(batch, floor, preset, backend)
    found, details = _parts(seen, preset)
    if preset.self_penetration is not None and skin is not None:
        found["kin.self_penetration"] = parts.crossing(
            skin.penetration(batch.betas, seen.state.motion.rot), seen, preset
        )
    return Findings(
        parts=found,
        activity=activity(seen.state),
        floor=seen.state.floor,
        methods=(
            ("kin.self_penetration", method(preset.self_penetration, skin)),
            ("dynamics", backend),
        ),
        details=details,
    )


def _parts(seen: Scene, preset: ReferencePreset) -> tuple[dict[str, Violation], dict[str, Array]]:
    """Violations by our names, and figures by the published ones."""
    body = published_humanoid()
    jitter, jitter_m_s2 = parts.jitter(seen, preset)
    forces, vertical, horizontal = parts.forces(seen, preset)
    effort, work = parts.effort(seen, preset)
    balance = parts.balance(seen, preset)
    found = {
        "kin.velocity": parts.speed(seen, preset),
        "kin.jitter": jitter,
        "con.slip": parts.slip(seen, preset),
        "con.ground_penetration": parts.ground_penetration(seen, preset),
        "con.float": parts.floating(seen, preset),
        "con.balance": balance,
        "dyn.torque": parts.torque(seen, preset, body.torque_limit[:, 0, 1] * body.total_mass),
        "dyn.grf": forces,
        "dyn.effort": effort,
    }
    if preset.quirks.joint_limits_dead:
        found["kin.limb_length"] = parts.limb_length(seen, preset)
    else:
        found["kin.joint_limit"] = kinematic.joint_limit(seen.state, body)
    if preset.quirks.airborne_is_unbalanced:
        found["dyn.balance"] = balance

    def over(name: str) -> Array:
        part = found[name]
        return parts.frame_mean(part.frame, seen) if part.value is None else part.value

    details = {
        "joint_limit_violations": over(preset.axes["kinematic"][0]),
        "velocity_violations": over("kin.velocity"),
        "jitter_combined": jitter_m_s2,
        "v_slip": over("con.slip"),
        "v_pen": over("con.ground_penetration"),
        "v_float": over("con.float"),
        "v_bal": over("con.balance"),
        "in_contact_any_frac": parts.frame_mean(seen.contact.max(axis=0), seen),
        "s_tau": 1.0 - over("dyn.torque"),
        "s_grf": 1.0 - over("dyn.grf"),
        "s_met": 1.0 - over("dyn.effort"),
        "s_bal": 1.0 - over("con.balance"),
        "v_grf_vert": vertical,
        "v_grf_horiz": horizontal,
        "MET": work,
    }
    return found, details
