"""From a batch of motion to its report: one pure function, jitted once."""

import math
from collections.abc import Callable
from functools import partial, reduce

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.body.skeleton import N_BODIES, PARENTS
from phymotion_jax.dynamics import BACKENDS, Backend
from phymotion_jax.errors import ModelError, MotionError, Status, UnknownNameError
from phymotion_jax.motion import MotionBatch
from phymotion_jax.parts import contact, dynamic, kinematic
from phymotion_jax.parts.violation import Summary, Violation, summarise
from phymotion_jax.presets import Preset, get_preset
from phymotion_jax.report import AXES, Report
from phymotion_jax.state import State, activity, moving_body, rest_padding
from phymotion_jax.status import batch_status, mask_out

_PARTS: dict[str, Callable[[State, Humanoid, Preset], Violation]] = {
    "kin.velocity": kinematic.velocity,
    "kin.self_penetration": kinematic.self_penetration,
    "kin.joint_limit": kinematic.joint_limit,
    "con.slip": contact.slip,
    "con.ground_penetration": contact.ground_penetration,
    "con.float": contact.floating,
    "con.balance": contact.balance,
    "dyn.torque": dynamic.torque,
    "dyn.grf": dynamic.ground_force,
    "dyn.effort": dynamic.effort,
}


def score(
    batch: MotionBatch,
    humanoid: Humanoid | None = None,
    preset: Preset | str = "paper",
    *,
    backend: Backend = "fused",
    floor: Float[Array, " B"] | float | None = None,
) -> Report:
    """Score a batch of clips. Pure: it may be called inside `jit`, `vmap` or `shard_map`.

    A clip that cannot be scored has NaN everywhere and its reason in `Report.status`; it does not
    touch the others. In a training loop take ``jnp.where(report.valid, report.reward, fallback)``.

    Args:
      batch: clips padded to one length, in the z-up world.
      humanoid: one body for all clips or one a clip, with its own mass; by default each clip's
        own, from its betas and `mass_kg`.
      preset: thresholds, by name or as a `Preset`.
      backend: of the inverse dynamics, "fused" or "mjx".
      floor: height of the floor in metres, one for all or one a clip; by default it is estimated
        from each clip's slow low points, and a clip that floats or sinks throughout goes unseen.

    Raises:
      ModelError: for a humanoid that is not SMPL's tree with soles.
      UnknownNameError: for a preset or backend that does not exist.
    """
    if backend not in BACKENDS:
        raise UnknownNameError("dynamics backend", backend, BACKENDS)
    # Arguments in one form, so that every way of calling runs the same compiled program.
    if floor is not None:
        floor = jnp.broadcast_to(jnp.asarray(floor, jnp.float32), batch.fps.shape)
    return _score(batch, humanoid, floor, preset=get_preset(preset), backend=backend)


@partial(jax.jit, static_argnames=("preset", "backend"))
def _score(
    batch: MotionBatch,
    humanoid: Humanoid | None,
    floor: Float[Array, " B"] | None,
    *,
    preset: Preset,
    backend: Backend,
) -> Report:
    status = batch_status(batch, floor)
    valid = status == int(Status.OK)
    usable = rest_padding(mask_out(batch, valid))
    body = Humanoid.from_betas(usable.betas, usable.mass_kg) if humanoid is None else humanoid
    if body.parents != PARENTS or not body.feet:
        raise ModelError(
            f"clips of SMPL's {N_BODIES} links and two feet need a body of the same; "
            f"this one has {body.n_links} links and {len(body.feet)} feet"
        )
    state = moving_body(usable, body, backend=backend, floor=floor)
    found = {
        name: summarise(part(state, body, preset), usable.mask, body.n_links)
        for name, part in _PARTS.items()
    }
    methods = (("kin.self_penetration", "capsule"), ("dynamics", backend))
    return _report(found, state, status, methods)


def _report(
    found: dict[str, Summary], state: State, status: Array, methods: tuple[tuple[str, str], ...]
) -> Report:
    """Axes and reward from parts, with NaN where a clip could not be scored."""
    valid = status == int(Status.OK)

    def known(values: Array) -> Array:
        return jnp.where(valid.reshape(-1, *[1] * (values.ndim - 1)), values, jnp.nan)

    parts = {name: known(s.value) for name, s in found.items()}
    axes = {axis: 1.0 - _mean([parts[name] for name in names]) for axis, names in AXES.items()}
    return Report(
        reward=_mean(list(axes.values())),
        axes=axes,
        parts=parts,
        frames={name: known(s.frame) for name, s in found.items()},
        links={name: known(s.links) for name, s in found.items()},
        worst_frame={name: s.worst_frame for name, s in found.items()},
        worst_link={name: s.worst_link for name, s in found.items()},
        activity=known(activity(state)),
        floor_height=known(state.floor),
        valid=valid,
        status=status,
        methods=methods,
    )


def _mean(values: list[Array]) -> Array:
    return reduce(jnp.add, values) / len(values)


class Scorer:
    """A scorer with its settings: ``Scorer("paper")(batch) -> Report``."""

    def __init__(
        self,
        preset: str | Preset = "paper",
        *,
        backend: Backend = "fused",
        floor: float | None = None,
    ):
        """Check the settings once.

        Args:
          preset: thresholds, by name or as a `Preset`.
          backend: of the inverse dynamics, "fused" or "mjx".
          floor: height of the floor in metres; estimated from each clip where it is None.

        Raises:
          UnknownNameError: for a preset or backend that does not exist.
          MotionError: for a floor that is not finite.
        """
        if backend not in BACKENDS:
            raise UnknownNameError("dynamics backend", backend, BACKENDS)
        if floor is not None and not math.isfinite(floor):
            raise MotionError(Status.BAD_UNITS, f"floor is {floor}; metres were wanted")
        self.preset = get_preset(preset)
        self.backend: Backend = backend
        self.floor = floor

    def __call__(self, batch: MotionBatch, humanoid: Humanoid | None = None) -> Report:
        """Score a batch; see `score`."""
        return score(batch, humanoid, self.preset, backend=self.backend, floor=self.floor)
