"""Clips over several devices, and more clips than one device holds."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.errors import ModelError
from phymotion_jax.motion import MotionBatch
from phymotion_jax.report import Report

AXIS = "clips"
"""Name of the mesh's axis."""


def clip_mesh(devices: Sequence[jax.Device] | Mesh) -> Mesh:  # pyright: ignore[reportInvalidTypeForm]
    """A mesh with one axis, over which clips are spread.

    Raises:
      ValueError: for no devices, or a mesh of several axes.
    """
    if not isinstance(devices, Mesh):
        if not devices:
            raise ValueError("devices: found none; one or more, or a mesh of them, were wanted")
        return Mesh(np.array(devices), (AXIS,))
    if len(devices.axis_names) != 1:
        raise ValueError(f"devices: a mesh with axes {devices.axis_names}; one axis was wanted")
    return devices


def over_devices(
    mesh: Mesh, function: Callable[[Any, Any], Report], own: Any, shared: Any
) -> Report:
    """Run a function of clips on each device's share of them, with nothing sent between devices.

    Args:
      mesh: from `clip_mesh`.
      function: of what each clip has of its own, and what all clips share.
      own: arrays with clips first. What the devices' number leaves over is filled up with clips of
        zeros, which have no frames and cannot be scored, and which are cut off again.
      shared: arrays that every device has whole.
    """
    spread, (clips,) = P(mesh.axis_names[0]), {len(x) for x in jax.tree.leaves(own)}
    short = -clips % mesh.size
    if short:
        own = jax.tree.map(lambda x: jnp.pad(x, [(0, short)] + [(0, 0)] * (x.ndim - 1)), own)
    # Unchecked: loops begin with constants, which do not vary over the mesh as their results do.
    run = jax.shard_map(
        function, mesh=mesh, in_specs=(spread, P()), out_specs=spread, check_vma=False
    )
    report = run(own, shared)
    return jax.tree.map(lambda x: x[:clips], report) if short else report


def in_pieces(
    score: Callable[[MotionBatch, Humanoid | None], Report],
    batch: MotionBatch,
    humanoid: Humanoid | None,
    clips: int,
) -> Report:
    """Score some clips at a time, and join the reports on the host.

    While the device works on a piece the one before it is brought back and the next one is sent: so
    two pieces are on the device, however many there are.
    """
    pieces = _pieces(batch, humanoid, clips)
    running, reports = score(*next(pieces)), []
    for piece in pieces:
        following = score(*piece)
        reports.append(running.on_host())
        running = following
    reports.append(running.on_host())
    joined = jax.tree.map(lambda *parts: np.concatenate(parts), *reports)
    return jax.tree.map(lambda x: x[: len(batch.fps)], joined)


def _pieces(
    batch: MotionBatch, humanoid: Humanoid | None, clips: int
) -> Iterator[tuple[MotionBatch, Humanoid | None]]:
    """Pieces of one size, so that one program serves all; the last is filled up with zeros."""
    for start in range(0, len(batch.fps), clips):

        def part(x: Any, start: int = start) -> Any:
            some = x[start : start + clips]
            return np.pad(some, [(0, clips - len(some))] + [(0, 0)] * (some.ndim - 1))

        body = humanoid and humanoid.replace(**jax.tree.map(part, by_clip(humanoid)))
        yield jax.tree.map(part, batch), body


_BODY_FIELDS = {
    **{"offset": 2, "mass": 1, "com": 2, "inertia": 3, "contact_point": 2},
    **{"capsule_ends": 2, "capsule_radius": 1, "hull_point": 2},
}
"""Of a humanoid, those that a batch of bodies has one a clip of; and their axes without that."""


def by_clip(humanoid: Humanoid | None) -> dict[str, Any]:
    """Fields that have clips first: none where one body serves all clips."""
    if humanoid is None or humanoid.mass.ndim == 1:
        return {}
    return {name: getattr(humanoid, name) for name in _BODY_FIELDS}


def require_one_or_all(humanoid: Humanoid) -> None:
    """Refuse a body of which some fields are one for all clips and others one a clip.

    Raises:
      ModelError: names two of them.
    """
    shapes = {name: np.shape(getattr(humanoid, name)) for name in _BODY_FIELDS}
    clips = {name: shape[: -_BODY_FIELDS[name]] for name, shape in shapes.items()}
    other = next((name for name in clips if clips[name] != clips["mass"]), None)
    if other:
        raise ModelError(
            f"the humanoid's mass is {shapes['mass']} and its {other} {shapes[other]}; one for all "
            "clips or one a clip was wanted of both, as Humanoid.from_betas makes them"
        )
