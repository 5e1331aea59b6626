"""What is timed: the score by each preset and level, and inverse dynamics alone."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from phymotion_jax.assets import demo_clips
from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.body.qpos import JointMotion
from phymotion_jax.dynamics import BACKENDS, dynamics
from phymotion_jax.io import load_motion
from phymotion_jax.motion import MotionBatch
from phymotion_jax.presets import PRESET_NAMES, get_preset
from phymotion_jax.scorer import Scorer, score
from phymotion_jax.sharding import AXIS, clip_mesh

Devices = Sequence[jax.Device]  # pyright: ignore[reportInvalidTypeForm]  # a class at run time

CASES = (
    *("physical, none", "physical, capsule", "physical, hull", "physical, mesh"),
    *("paper", "paper, two axes", "reference, two axes"),
    *("dynamics, fused", "dynamics, mjx"),
)
"""The usual ones. A preset alone measures self-penetration in its own way."""


_GRADIENT = "physical, gradient"


class Work(NamedTuple):
    """One call to be timed."""

    function: Callable[..., Any]
    """What is compiled."""

    arguments: tuple[Any, ...]
    """What it takes, on the devices."""


def whole_scores() -> tuple[str, ...]:
    """The cases that give a report."""
    levels = ((name, level) for name in PRESET_NAMES for level in get_preset(name).levels)
    without = (f"{name}, none" for name in PRESET_NAMES)
    return (*PRESET_NAMES, *without, *(f"{name}, {level}" for name, level in levels))


def known_cases() -> tuple[str, ...]:
    """Every case there is."""
    alone = (f"dynamics, {backend}" for backend in BACKENDS)
    two_axes = (f"{name}, two axes" for name in PRESET_NAMES)
    return (*whole_scores(), _GRADIENT, *two_axes, *alone)


def work(case: str, clips: int, frames: int, devices: Devices | None = None) -> Work:
    """The function of a case and its arguments.

    Args:
      case: one of `known_cases`.
      clips: clips in the call; a multiple of the number of devices.
      frames: frames a clip.
      devices: over which the clips are spread; by default everything is on the first one.
    """
    name, _, part = case.partition(", ")
    if name == "dynamics":
        body, backend = Humanoid.from_betas(), part
        alone = Work(
            lambda joints: dynamics(body, joints, backend=backend).wrenches,  # pyright: ignore
            (random_joints(clips, frames),),
        )
        return alone if devices is None else spread(alone, devices, PartitionSpec(None, AXIS))
    batch = demo_batch(clips, frames)
    if case == _GRADIENT:
        alone = Work(_gradient, (batch,))
        return alone if devices is None else spread(alone, devices, PartitionSpec(AXIS))
    if devices is None:
        return Work(_scored(name, part, None), (batch,))
    mesh = clip_mesh(devices)
    batch = jax.device_put(batch, NamedSharding(mesh, PartitionSpec(AXIS)))
    return Work(_scored(name, part, mesh), (batch,))


def _scored(name: str, part: str, mesh: Mesh | None) -> Callable[[MotionBatch], Any]:
    preset = get_preset(name)
    if part in ("none", *preset.levels):
        preset = replace(preset, self_penetration=None if part == "none" else part)
    scorer = Scorer(preset, devices=mesh)

    def scored(batch: MotionBatch) -> Any:
        report = scorer(batch)
        two_axes = part == "two axes"
        return [report.axes[a] for a in ("contact", "dynamic")] if two_axes else report

    return scored


def _gradient(batch: MotionBatch) -> tuple[jax.Array, jax.Array]:
    """Of the rewards' sum in the form for gradients, by where bodies are and how they are turned,
    as a generator that is trained on it needs it."""

    def total(root_pos: jax.Array, joint_quat: jax.Array) -> jax.Array:
        moved = batch.replace(root_pos=root_pos, joint_quat=joint_quat)
        report = score(moved, smooth=True)
        return jnp.sum(jnp.where(report.valid, report.reward, 0.0))

    return jax.grad(total, argnums=(0, 1))(batch.root_pos, batch.joint_quat)


def spread(work: Work, devices: Devices, spec: PartitionSpec) -> Work:
    """The same with the clips spread over devices, each of which takes its own."""
    mesh = clip_mesh(devices)
    # Scans inside begin with constants, which are the same on all devices: not for JAX to check.
    function = jax.shard_map(
        work.function, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False
    )
    return Work(function, jax.device_put(work.arguments, NamedSharding(mesh, spec)))


def demo_batch(
    clips: int, frames: int, seed: int = 0, files: Sequence[Path] | None = None
) -> MotionBatch:
    """The demo clips, or some files, in turn, each repeated to fill its frames, each with a body of
    its own."""
    motions = [load_motion(path) for path in files or demo_clips()]
    chosen = [motions[k % len(motions)] for k in range(clips)]
    rows = [np.arange(frames) % m.n_frames for m in chosen]
    betas = np.random.default_rng(seed).normal(size=(clips, 10))
    return MotionBatch(
        root_pos=jnp.asarray(np.stack([m.root_pos[r] for m, r in zip(chosen, rows, strict=True)])),
        joint_quat=jnp.asarray(
            np.stack([m.joint_quat[r] for m, r in zip(chosen, rows, strict=True)])
        ),
        mask=jnp.ones((clips, frames), bool),
        fps=jnp.asarray([m.fps for m in chosen], jnp.float32),
        betas=jnp.asarray(betas, jnp.float32),
        mass_kg=jnp.full((clips,), jnp.nan, jnp.float32),
        static_conf=jnp.full((clips, frames, 6), jnp.nan, jnp.float32),
    )


def random_joints(clips: int, frames: int, seed: int = 0) -> JointMotion:
    """Random poses, velocities and accelerations in the kernel's own layout."""
    keys = jax.random.split(jax.random.key(seed), 5)
    shape = (24, clips, frames)
    quat = jax.random.normal(keys[0], (4, *shape))
    quat = quat / jnp.linalg.norm(quat, axis=0)
    vel, acc = (s * jax.random.normal(k, (3, *shape)) for s, k in ((2.0, keys[1]), (20.0, keys[2])))
    pos, root_acc = (jax.random.normal(k, (3, 1, clips, frames)) for k in keys[3:])
    return JointMotion(*(tuple(x) for x in (quat, vel, acc, pos, root_acc)))  # pyright: ignore
