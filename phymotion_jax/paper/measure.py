"""The chain of the `paper` preset: from a batch to the violations of its ten parts."""

from collections.abc import Callable

from jaxtyping import Array, Float

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.body.skin import Skin
from phymotion_jax.dynamics import Backend
from phymotion_jax.motion import MotionBatch
from phymotion_jax.paper import contact, dynamic, kinematic
from phymotion_jax.parts.findings import Findings
from phymotion_jax.parts.self_penetration import link_overlap, method
from phymotion_jax.parts.violation import Violation
from phymotion_jax.presets import PaperPreset
from phymotion_jax.state import State, activity, body_of, moving_body

_PARTS: dict[str, Callable[[State, Humanoid, PaperPreset], Violation]] = {
    "kin.velocity": kinematic.velocity,
    "kin.joint_limit": kinematic.joint_limit,
    "con.slip": contact.slip,
    "con.ground_penetration": contact.ground_penetration,
    "con.float": contact.floating,
    "con.balance": contact.balance,
    "dyn.torque": dynamic.torque,
    "dyn.grf": dynamic.ground_force,
    "dyn.effort": dynamic.effort,
}


def measure_paper(
    batch: MotionBatch,
    humanoid: Humanoid | None,
    floor: Float[Array, " B"] | None,
    preset: PaperPreset,
    backend: Backend,
    skin: Skin | None,
) -> Findings:
    """Measure a batch without NaN (from `rest_padding`). Arguments as for `scorer.score`.

    Raises:
      ModelError: for a humanoid that is not SMPL's tree with soles.
    """
    body = body_of(batch, humanoid)
    state = moving_body(batch, body, backend=backend, floor=floor)
    parts = {name: part(state, body, preset) for name, part in _PARTS.items()}
    if preset.self_penetration is not None:
        overlap = link_overlap(preset.self_penetration, state, body, skin, batch.betas)
        parts["kin.self_penetration"] = kinematic.self_penetration(overlap, preset)
    return Findings(
        parts=parts,
        activity=activity(state),
        floor=state.floor,
        methods=(
            ("kin.self_penetration", method(preset.self_penetration, skin)),
            ("dynamics", backend),
        ),
        details={},
    )
