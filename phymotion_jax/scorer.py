"""From a batch of motion to its report: one pure function, jitted once."""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float

from phymotion_jax import level
from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.body.skeleton import N_BODIES
from phymotion_jax.body.skin import Skin, default_skin
from phymotion_jax.dynamics import BACKENDS, Backend
from phymotion_jax.errors import MotionError, Status, UnknownNameError
from phymotion_jax.motion import MotionBatch
from phymotion_jax.paper.measure import measure_paper
from phymotion_jax.parts.findings import Findings
from phymotion_jax.parts.violation import Summary, not_measured, summarise
from phymotion_jax.physical.measure import measure_physical
from phymotion_jax.presets import (
    Level,
    PaperPreset,
    PhysicalPreset,
    Preset,
    ReferencePreset,
    get_preset,
)
from phymotion_jax.reference.measure import measure_reference
from phymotion_jax.report import Report
from phymotion_jax.sharding import by_clip, clip_mesh, in_pieces, over_devices, require_one_or_all
from phymotion_jax.state import near_origin, rest_padding
from phymotion_jax.status import batch_status, mask_out

_CHAINS: dict[type[Preset], Callable[[MotionBatch, Any, Any, Any, Backend, Any], Findings]] = {
    PhysicalPreset: measure_physical,
    PaperPreset: measure_paper,
    ReferencePreset: measure_reference,
}
"""How each kind of preset measures: f(batch, humanoid, floor, preset, backend, skin)."""


def score(
    batch: MotionBatch,
    humanoid: Humanoid | None = None,
    preset: Preset | str = "physical",
    *,
    backend: Backend = "fused",
    floor: Float[Array, " B"] | float | None = None,
    forces: bool = False,
    smooth: bool = False,
    level_floor: bool = False,
    self_penetration: Level | None = None,
    skin: Skin | None = None,
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
      forces: give the forces as well (`Report.forces`), which take 372 bytes a frame.
      smooth: for gradients: ramps without bends and soft maxima, with a slope also a little
        below the soft ends. Scores are a little lower. Only `physical` has this form.
      level_floor: turn each clip first so that the plane its feet stand on is level (`level`), for
        recoverers that do not align gravity. Places in the report are those of the turned clip.
      self_penetration: how it is measured, in place of the preset's own way: "capsule" or "hull",
        the depth of body parts in each other; or "mesh", whether triangles of the skin cross.
      skin: whose triangles, for "mesh"; by default the mannequin's. `Skin.of(load_surface(...))`
        makes one, outside of `jit`.

    Raises:
      MotionError: for a floor of given height that is to be levelled as well.
      ModelError: for a humanoid that is not SMPL's tree with soles, or of which only some fields
        are one a clip; for any at all with `reference`, which has its own.
      UnknownNameError: for a preset, backend or level of self-penetration that does not exist, or
        a preset without a smooth form where that is asked for.
    """
    if backend not in BACKENDS:
        raise UnknownNameError("dynamics backend", backend, BACKENDS)
    _require_one_floor(floor, level_floor)
    chosen = _chosen(preset, smooth, self_penetration)
    settings = {"preset": chosen, "backend": backend, "forces": forces, "levelled": level_floor}
    with _precision_of(batch):
        return _score(*_in_one_form(batch, humanoid, floor, chosen, skin), **settings)


def _chosen(preset: Preset | str, smooth: bool, self_penetration: Level | None) -> Preset:
    """A preset as it was asked for."""
    chosen = get_preset(preset).smoothed() if smooth else get_preset(preset)
    return chosen if self_penetration is None else chosen.at_level(self_penetration)


def _precision_of(batch: MotionBatch) -> AbstractContextManager[None]:
    """No doubles for a batch in single precision, where JAX has them switched on: each constant
    that is one would make doubles of all that it meets, and GPU kernels take none."""
    return jax.enable_x64(batch.root_pos.dtype == jnp.float64)


def _in_one_form(
    batch: MotionBatch,
    humanoid: Humanoid | None,
    floor: Float[Array, " B"] | float | None,
    preset: Preset,
    skin: Skin | None,
) -> tuple[MotionBatch, Humanoid | None, Float[Array, " B"] | None, Skin | None]:
    """Arguments of `_score`, so that every way of calling runs the same compiled program."""
    if humanoid is not None:
        require_one_or_all(humanoid)
    if floor is not None:
        floor = jnp.broadcast_to(jnp.asarray(floor, batch.root_pos.dtype), batch.fps.shape)
    if not isinstance(preset, PhysicalPreset):  # the others score the frames given
        batch = batch.replace(substeps=1)
    if preset.self_penetration != "mesh":
        return batch, humanoid, floor, None
    return batch, humanoid, floor, default_skin() if skin is None else skin


@partial(jax.jit, static_argnames=("preset", "backend", "forces", "levelled"))
def _score(
    batch: MotionBatch,
    humanoid: Humanoid | None,
    floor: Float[Array, " B"] | None,
    skin: Skin | None,
    *,
    preset: Preset,
    backend: Backend,
    forces: bool,
    levelled: bool,
) -> Report:
    status = batch_status(batch, floor)
    valid = status == int(Status.OK)
    usable, origin = near_origin(mask_out(batch, valid))
    usable = rest_padding(usable)
    usable = level.level_floor(usable, humanoid) if levelled else usable
    found = _CHAINS[type(preset)](usable, humanoid, floor, preset, backend, skin)
    told = found.forces and found.forces.moved_by(origin) if forces else None
    return _report(found._replace(forces=told), usable, status, preset)


@partial(jax.jit, static_argnames=("mesh", "preset", "backend", "forces", "levelled"))
def _score_on(
    batch: MotionBatch,
    humanoid: Humanoid | None,
    floor: Float[Array, " B"] | None,
    skin: Skin | None,
    *,
    mesh: Mesh,
    **settings: Any,
) -> Report:
    """`_score` over the devices of a mesh."""

    def run(own: Any, shared: Any) -> Report:
        (batch, fields, floor), (body, skin) = own, shared
        return _score(batch, body and body.replace(**fields), floor, skin, **settings)

    return over_devices(mesh, run, (batch, by_clip(humanoid), floor), (humanoid, skin))


def _report(found: Findings, batch: MotionBatch, status: Array, preset: Preset) -> Report:
    """Axes and reward from parts, with NaN where a clip could not be scored."""
    valid = status == int(Status.OK)

    def known(values: Array, otherwise: float = jnp.nan, clips: int = 0) -> Array:
        shape = [1] * values.ndim
        shape[clips] = -1
        return jnp.where(valid.reshape(shape), values, otherwise)

    measured = summarise(list(found.parts.values()), batch.mask, N_BODIES)
    violations = dict(zip(found.parts, measured.value, strict=True))
    axes = {}
    for axis, names in preset.axes.items():
        counted = [violations[name] for name in names if name in violations]
        axes[axis] = known(1.0 - reduce(jnp.add, counted) / len(names), preset.failed_reward)
    reward = reduce(jnp.add, axes.values()) / len(axes)
    shares = _percentiles(reward, violations, preset)
    told = {name: known(getattr(measured, name), clips=1) for name in ("value", "frame", "links")}
    measured = measured._replace(**told)
    summaries = {name: Summary(*(x[k] for x in measured)) for k, name in enumerate(found.parts)}
    absent = not_measured(batch.mask, N_BODIES)
    absent = absent._replace(frame=known(absent.frame))
    parts, frames, links, worst_frame, worst_link = (
        {name: summaries.get(name, absent)[field] for name in preset.parts} for field in range(5)
    )
    return Report(
        reward=reward,
        axes=axes,
        parts=parts,
        frames=frames,
        links=links,
        worst_frame=worst_frame,
        worst_link=worst_link,
        percentiles={name: known(share) for name, share in shares.items()},
        details={name: known(found.details[name]) for name in preset.details},
        activity=known(found.activity),
        floor_height=known(found.floor),
        valid=valid,
        status=status,
        forces=jax.tree.map(known, found.forces),
        preset=preset,
        methods=found.methods,
    )


def _percentiles(
    reward: Float[Array, " B"], parts: dict[str, Float[Array, " B"]], preset: Preset
) -> dict[str, Float[Array, " B"]]:
    """Share of clean captures that do better, beyond the digits of their table."""
    if not preset.clean:
        return {}
    slack, sign = 1e-4, {"reward": -1.0}  # of a reward more is better, of a violation less
    scores = np.array([sign.get(name, 1.0) * np.array(x) for name, x in preset.clean.items()])
    values = jnp.stack([-reward if name == "reward" else parts[name] for name in preset.clean])
    better = values[:, :, None] - scores[:, None].astype(values.dtype) > slack
    return dict(zip(preset.clean, jnp.mean(better, axis=2), strict=True))


def _require_one_floor(floor: object, level_floor: bool) -> None:
    if level_floor and floor is not None:
        raise MotionError(
            Status.BAD_UNITS,
            "a floor of given height is level already; give floor or level_floor, not both",
        )


class Scorer:
    """A scorer with its settings: ``Scorer()(batch) -> Report``."""

    def __init__(
        self,
        preset: str | Preset = "physical",
        *,
        backend: Backend = "fused",
        floor: float | None = None,
        forces: bool = False,
        smooth: bool = False,
        level_floor: bool = False,
        self_penetration: Level | None = None,
        skin: Skin | None = None,
        devices: Sequence[jax.Device] | Mesh | None = None,  # pyright: ignore[reportInvalidTypeForm]
        clips_at_once: int | None = None,
    ):
        """Check the settings once.

        Args:
          preset: thresholds, by name or as a `Preset`.
          backend: of the inverse dynamics, "fused" or "mjx".
          floor: height of the floor in metres; estimated from each clip where it is None.
          forces: give the forces as well; see `score`.
          smooth: the form for gradients; see `score`.
          level_floor: turn each clip until its floor is level; see `score`.
          self_penetration: how it is measured, in place of the preset's own way; see `score`.
          skin: whose triangles are tried, for "mesh".
          devices: over which the clips are spread, or a mesh of them with one axis, which may reach
            over several hosts; by default everything runs where the batch is.
          clips_at_once: the most that are on the devices, for batches in the host's memory that
            are larger than theirs. Reports of larger batches are on the host.

        Raises:
          UnknownNameError: for a preset, backend or level of self-penetration that does not exist,
            or a preset without a smooth form.
          MotionError: for a floor that is not finite, or that is to be levelled as well.
          ValueError: for devices that are none, a mesh of several axes, or no clips at once.
        """
        if backend not in BACKENDS:
            raise UnknownNameError("dynamics backend", backend, BACKENDS)
        if floor is not None and not math.isfinite(floor):
            raise MotionError(Status.BAD_UNITS, f"floor is {floor}; metres were wanted")
        if clips_at_once is not None and clips_at_once < 1:
            raise ValueError(f"clips_at_once: found {clips_at_once}; one or more were wanted")
        _require_one_floor(floor, level_floor)
        self.preset = _chosen(preset, smooth, self_penetration)
        self.skin = skin
        self.backend: Backend = backend
        self.floor = floor
        self.forces = forces
        self.level_floor = level_floor
        self.mesh = None if devices is None else clip_mesh(devices)
        self.clips_at_once = clips_at_once

    def __call__(self, batch: MotionBatch, humanoid: Humanoid | None = None) -> Report:
        """Score a batch; see `score`."""
        if self.clips_at_once is not None and len(batch.fps) > self.clips_at_once:
            return in_pieces(self._run, batch, humanoid, self.clips_at_once)
        return self._run(batch, humanoid)

    def lower(self, batch: MotionBatch, humanoid: Humanoid | None = None) -> jax.stages.Lowered:
        """The program for batches of this shape, to compile ahead of time, or to look at.

        ``scorer.lower(batch).compile()(*scorer.arguments(batch))`` is the report. The batch may be
        one of `jax.ShapeDtypeStruct`s.
        """
        function, settings = self._function()
        with _precision_of(batch):
            return function.lower(*self.arguments(batch, humanoid), **settings)

    def arguments(self, batch: MotionBatch, humanoid: Humanoid | None = None) -> tuple[Any, ...]:
        """What the compiled program of `lower` is called with."""
        return _in_one_form(batch, humanoid, self.floor, self.preset, self.skin)

    def _run(self, batch: MotionBatch, humanoid: Humanoid | None) -> Report:
        function, settings = self._function()
        with _precision_of(batch):
            return function(*self.arguments(batch, humanoid), **settings)

    def _function(self) -> tuple[Any, dict[str, Any]]:
        settings = {"preset": self.preset, "backend": self.backend, "forces": self.forces}
        settings["levelled"] = self.level_floor
        if self.mesh is None:
            return _score, settings
        return _score_on, settings | {"mesh": self.mesh}
