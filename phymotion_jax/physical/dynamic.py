"""Dynamic parts: could muscles and the ground supply the forces that this motion needs?"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.dynamics import GRAVITY
from phymotion_jax.kernels.vectors import norm, unstack
from phymotion_jax.loads import joint_power
from phymotion_jax.parts.violation import Violation, whole_body
from phymotion_jax.physical.power import lift, mean_power
from phymotion_jax.physical.ramps import ramp, unit, worst
from phymotion_jax.physical.scene import Scene
from phymotion_jax.presets import PhysicalPreset


def torque(scene: Scene, humanoid: Humanoid, preset: PhysicalPreset) -> Violation:
    """Torque a kilogram of the worst joint, between its own soft and hard limit in its direction.

    With u the direction, limits a about the link's x, on the side that u is on, and b about other
    axes, the limit is 1 / √(u_x² / a² + (1 − u_x²) / b²).
    """
    soft, hard = torque_levels(scene, humanoid)
    # (torque - soft) / (hard - soft), all over soft; the small numbers keep slopes at rest.
    ratio = jnp.sqrt((soft**2 + 4e-6) / (hard**2 + 1e-6))
    rows = unit((soft - 1.0) / (ratio - 1.0), preset.smooth)
    return Violation(worst(rows, preset.smooth), rows, tuple(range(1, humanoid.n_links)))


def torque_levels(
    scene: Scene, humanoid: Humanoid
) -> tuple[Float[Array, "J B T"], Float[Array, "J B T"]]:
    """Torque of each joint over its soft limit, and over its hard one."""
    mass = (scene.state.weight / -GRAVITY[2])[None]
    x, y, z = (c[1:] / mass for c in scene.loads.moment)
    forwards = jnp.signbit(x)
    levels = []
    for against, along in zip(
        unstack(humanoid.torque_limit[..., 0, :]),
        unstack(humanoid.torque_limit[..., 1, :]),
        strict=True,
    ):
        about_x = jnp.where(forwards, against[1:], along[1:])
        others = jnp.maximum(against, along)[1:]
        levels.append(norm((x / about_x, y / others, z / others)))
    return levels[0], levels[1]


def ground_force(scene: Scene, humanoid: Humanoid, preset: PhysicalPreset) -> Violation:
    """Force of the ground, vertical or horizontal, in body weights."""
    del humanoid
    up, level = ground_reaction(scene)
    return whole_body(
        jnp.maximum(
            ramp(up, preset.vertical_bw, preset.smooth),
            ramp(level, preset.horizontal_bw, preset.smooth),
        )
    )


def ground_reaction(scene: Scene) -> tuple[Float[Array, "B T"], Float[Array, "B T"]]:
    """Vertical and horizontal force of the ground in sum, in body weights."""
    x, y, up = (jnp.sum(c, axis=0) for c in scene.loads.ground.forces)
    return up, norm((x, y))


def effort(scene: Scene, humanoid: Humanoid, preset: PhysicalPreset) -> Violation:
    """Positive power of all joints, a kilogram: over a second, and at the moment."""
    frame = jnp.maximum(
        ramp(mean_power(scene), preset.power_w_kg, preset.smooth),
        ramp(scene.power, preset.peak_power_w_kg, preset.smooth),
    )
    rows = joint_power(scene.state, scene.loads)
    blame = frame * rows / jnp.maximum(scene.power, 1e-6)
    return Violation(frame, blame, tuple(range(1, humanoid.n_links)))


def residual(scene: Scene, humanoid: Humanoid, preset: PhysicalPreset) -> Violation:
    """Force, moment and work that the ground could not supply where something touches it.

    Where nothing does, what is left over is `con.float`'s: nothing is charged twice.
    """
    force, moment = left_over(scene, preset)
    frame = jnp.maximum(
        ramp(force, preset.residual_bw, preset.smooth),
        ramp(moment, preset.residual_moment_bw_m, preset.smooth),
    )
    lifted = ramp(lift(scene, humanoid), preset.lift_m, preset.smooth)
    return whole_body(jnp.maximum(frame, lifted))


def left_over(
    scene: Scene, preset: PhysicalPreset
) -> tuple[Float[Array, "B T"], Float[Array, "B T"]]:
    """Residual force, in body weights, and moment, in body weights times metres, where something
    touches.

    Beyond what jitter alone would make, and what lasts: a moment that is missing for as long as it
    takes to fall is `con.balance`'s, whether the residual has it as a moment or as a force on the
    floor below the centre of mass.
    """
    ground, stands = scene.loads.ground, scene.stands
    force, moment = norm(ground.residual_force), norm(ground.residual_moment)
    missing = moment + force * scene.com_height
    lasting = jnp.maximum(scene.imbalance - preset.imbalance_m.soft, 0.0)
    other = 1.0 - jnp.minimum(lasting / (missing + 1e-6), 1.0)
    force = jnp.maximum(other * force - scene.force_noise, 0.0)
    return stands * force, stands * jnp.maximum(other * moment - scene.moment_noise, 0.0)
