"""Self-penetration of posed bodies: which of their triangles cross, frame by frame."""

from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from phymotion_jax.body.skeleton import N_BODIES
from phymotion_jax.body.surface import SurfaceModel, map_posed
from phymotion_jax.kernels.collider import MeshCollider
from phymotion_jax.kernels.mesh_overlap import mesh_overlap
from phymotion_jax.kernels.mesh_overlap_warp import mesh_overlap_warp
from phymotion_jax.kernels.vectors import Mat


class MeshPenetration(NamedTuple):
    """Where a body's surface passes through itself. A frame penetrates where `hits` is not 0.

    Surfaces are compared, not what they enclose: of a part wholly inside another nothing crosses.
    """

    hits: Int[Array, "B T"]
    """Pairs of crossing triangles."""

    percent: Float[Array, "B T"]
    """Pairs of crossing triangles in percent of the surface's triangles: what PhyMotion's code
    calls the percentage of colliding triangles. (It keeps eight pairs a triangle at most, and
    tries neighbours too.)"""

    triangles: Int[Array, "B T"]
    """Triangles that cross another."""

    by_pair: Int[Array, "P B T"]
    """Pairs of crossing triangles by pair of links, in the order of `MeshCollider.pairs`."""

    by_link: Int[Array, "L B T"]
    """Pairs of crossing triangles that one of each link's triangles is in."""


Form = Literal["xla", "warp"]
"""What finds the crossing triangles, with the same counts: XLA on any device, or kernels
of NVIDIA Warp, several times as fast on a GPU (extra `warp`)."""

_FORMS = {"xla": mesh_overlap, "warp": mesh_overlap_warp}


@partial(jax.jit, static_argnames="form")
def mesh_self_penetration(
    betas: Float[Array, "B 10"],
    rot: Mat,
    model: SurfaceModel,
    collider: MeshCollider,
    form: Form = "xla",
) -> MeshPenetration:
    """Crossing triangles of every frame, in memory that a chunk of frames bounds.

    Args:
      betas: shape of each clip.
      rot: rotation of every link to the world, ``(24, B, T)``: ``State.motion.rot``. Where it is
        NaN nothing crosses.
      model: the surface.
      collider: its triangles, of `mesh_collider(model)`.
      form: what finds them.
    """
    found = map_posed(lambda v: _FORMS[form](v, collider), model, betas, rot)
    hits = jnp.sum(found.hits, axis=0)
    links = np.array([[link in pair for pair in collider.pairs] for link in range(N_BODIES)])
    by_link = jnp.stack([jnp.sum(found.hits[own], axis=0) for own in links])
    percent = 100.0 * hits / collider.n_triangles
    return MeshPenetration(hits, percent, found.triangles, found.hits, by_link)
