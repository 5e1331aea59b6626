"""Bodies with a surface. The type is the stage: `SurfaceModel`, `ShapedSurface`, posed vertices.

Vertices stand in the hot layout, ``(V, B, T)`` a component, sorted by how many links move them.
What looks at a posed surface does so through `map_posed`, a chunk of frames at a time: the vertices
of the default body take 290 KB a frame.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from flax import struct
from jaxtyping import Array, Float, Int

from phymotion_jax.body.skeleton import N_BETAS, PARENTS
from phymotion_jax.kernels.chain import link_rotations
from phymotion_jax.kernels.skinning import Band, pose_correctives, skin
from phymotion_jax.kernels.vectors import Mat, Vec, quat_normalize, unstack_frames
from phymotion_jax.motion import MotionBatch

CHUNK_CPU, CHUNK_GPU = 64, 1024
"""Frames skinned at once: 19 and 300 MB of the default body's vertices. More of them leave a CPU's
caches; an H100 is no faster with 4096 (`benchmarks/skinning.py`)."""


@dataclass(frozen=True)
class Topology:
    """What is the same for all subjects and poses of a surface: part of the compiled program.

    Compared by its digest, so that a body loaded twice is compiled for once.
    """

    name: str
    """What reports call the body."""

    digest: str
    """Of all arrays below."""

    faces: Int[np.ndarray, "N 3"] = field(compare=False, repr=False)
    """Vertices of each triangle, counter-clockwise from outside."""

    face_link: Int[np.ndarray, " N"] = field(compare=False, repr=False)
    """Part of the body that each triangle is of: the link that moves its corners most."""

    vertex_link: Int[np.ndarray, " V"] = field(compare=False, repr=False)
    """The link that moves each vertex most."""

    file_order: Int[np.ndarray, " V"] = field(compare=False, repr=False)
    """Which vertex of the file each of ours is."""


@struct.dataclass
class SurfaceModel:
    """A space of bodies: vertices and joints linear in the betas, correctives linear in the pose.

    Metres, from the origin of the pelvis, in link axes at rest (x to the left, y up, z forward).
    """

    template: Float[Array, "3 V"]
    """Vertices of the mean body."""

    shape_dirs: Float[Array, "10 3 V"]
    """Change of the vertices a unit of each beta."""

    pose_dirs: Float[Array, "3 V P"]
    """Change a unit of each element of the local rotations; P is 0 where there is none."""

    joint_mean: Float[Array, "3 24"]
    """Joints of the mean body: the model's regressor, applied to its template."""

    joint_dirs: Float[Array, "10 3 24"]
    """Change of the joints: the regressor, applied to the vertices' change."""

    bands: tuple[Band, ...]
    """Which links move the vertices. All weights of the model are kept."""

    topology: Topology = struct.field(pytree_node=False)
    """Triangles and parts."""

    def shaped(self, betas: Float[Array, "B 10"]) -> "ShapedSurface":
        """The bodies of subjects at rest. Betas count as the model has them; further ones do not.

        Term by term: no matrix unit rounds to TF32, and jax 0.10 sums right (see `Humanoid`).
        """
        by_beta = betas[:, :N_BETAS].T[..., None]

        def blend(mean: Array, dirs: Array) -> Vec:
            terms = (d[..., None, None] * b for d, b in zip(dirs, by_beta, strict=True))
            x, y, z = reduce(jnp.add, terms, mean[..., None, None])
            return x, y, z

        vertex, joint = (
            blend(self.template, self.shape_dirs),
            blend(self.joint_mean, self.joint_dirs),
        )
        return ShapedSurface(self, vertex, joint)


@struct.dataclass
class ShapedSurface:
    """Bodies of subjects at rest, in metres from the pelvis."""

    model: SurfaceModel
    """The space of bodies that they are from."""

    vertex: Vec
    """Vertices, components ``(V, B, 1)``."""

    joint: Vec
    """Origins of the links, ``(24, B, 1)``."""

    def posed(self, rot: Mat) -> Vec:
        """Vertices from the pelvis in world axes, components ``(V, B, T)``.

        The joints follow from the surface's own joints at rest, which are those of the default
        `Humanoid` for the default body and for the neutral SMPL-X, and not for others.

        Args:
          rot: rotation of every link to the world, ``(24, B, T)``: ``State.motion.rot``.
        """
        rest, dirs = self.vertex, self.model.pose_dirs
        if dirs.shape[-1]:
            x, y, z = pose_correctives(PARENTS, rot, dirs)
            rest = (rest[0] + x, rest[1] + y, rest[2] + z)
        return skin(PARENTS, rot, self.joint, rest, self.model.bands)


def map_posed(
    look: Callable[[Vec], Any],
    model: SurfaceModel,
    betas: Float[Array, "B 10"],
    rot: Mat,
    *,
    chunk: int | None = None,
) -> Any:
    """What `look` sees of a posed surface, frame by frame, in memory that the chunk bounds.

    Args:
      look: from posed vertices, components ``(V, b, t)`` of some clips and frames, to arrays
        ``(..., b, t)``, in which no frame may depend on others. Frames that fill up a last chunk
        repeat real ones.
      model: the surface.
      betas: shape of each clip.
      rot: rotation of every link to the world, ``(24, B, T)``: ``State.motion.rot``.
      chunk: frames at a time, of one clip or of several; by default what suits the device.

    Returns:
      The same arrays for all frames, ``(..., B, T)``.
    """
    clips, frames = rot[0].shape[1:]
    chunk = chunk or (CHUNK_CPU if jax.default_backend() == "cpu" else CHUNK_GPU)
    t = _even_share(frames, chunk)
    b = _even_share(clips, max(1, chunk // t))
    fill = (-clips % b, -frames % t)
    betas = jnp.pad(betas, ((0, fill[0]), (0, 0)), mode="edge")
    padded = (jnp.pad(c, ((0, 0), (0, fill[0]), (0, fill[1])), mode="edge") for c in rot)
    pieces = tuple(rearrange(c, "l (i b) (j t) -> i j l b t", b=b, t=t) for c in padded)

    def clips_of(part: tuple[Array, Mat]) -> Any:
        shaped = model.shaped(part[0])
        return jax.lax.map(lambda turn: look(shaped.posed(turn)), part[1])

    seen = jax.lax.map(clips_of, (rearrange(betas, "(i b) k -> i b k", b=b), pieces))
    whole = partial(rearrange, pattern="i j ... b t -> ... (i b) (j t)")
    return jax.tree.map(lambda x: whole(x)[..., :clips, :frames], seen)


@jax.jit
def posed_vertices(batch: MotionBatch, model: SurfaceModel) -> Float[Array, "B T V 3"]:
    """Vertices of every frame in world axes, from the pelvis, in the order of the model's file.

    For figures and for comparison: all frames at once, `map_posed` is for scores. What padding
    gives is not defined. Add ``batch.root_pos`` for places in the world.
    """
    quat = quat_normalize(unstack_frames(batch.joint_quat))
    rot = link_rotations(PARENTS, quat)
    posed = jnp.stack(map_posed(lambda vertices: vertices, model, batch.betas, rot))
    back = np.argsort(model.topology.file_order)
    return rearrange(posed, "c v b t -> b t v c")[:, :, back]


def _even_share(total: int, most: int) -> int:
    """Size of equal pieces that are as few as pieces of at most `most` allow."""
    return -(-total // -(-total // most))
