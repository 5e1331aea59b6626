"""A body's surface, ready to be tried against itself."""

from functools import cache

from flax import struct
from jaxtyping import Array, Float

from phymotion_jax.body.collider import mesh_collider
from phymotion_jax.body.pairs import Pairs
from phymotion_jax.body.surface import SurfaceModel, map_posed
from phymotion_jax.body.surface_files import load_surface
from phymotion_jax.kernels.collider import MeshCollider
from phymotion_jax.kernels.mesh_overlap import MeshOverlap, mesh_overlap
from phymotion_jax.kernels.vectors import Mat


@struct.dataclass
class Skin:
    """A surface, and which of its triangles are tried against which."""

    model: SurfaceModel
    """The surface."""

    collider: MeshCollider
    """Its triangles. ``describe_pairs(skin.collider.pairs)`` names the parts that are tried."""

    @classmethod
    def of(cls, model: SurfaceModel, pairs: Pairs | None = None) -> "Skin":
        """The skin of a surface. Arguments as for `mesh_collider`."""
        return cls(model, mesh_collider(model, pairs))

    def overlap(self, betas: Float[Array, "B 10"], rot: Mat) -> MeshOverlap:
        """Where it passes through itself, in memory that does not grow with the clips.

        Args:
          betas: shape of each clip.
          rot: rotation of every link to the world, ``(24, B, T)``: ``State.motion.rot``.
        """
        return map_posed(lambda v: mesh_overlap(v, self.collider), self.model, betas, rot)


@cache
def default_skin() -> Skin:
    """That of the mannequin, computed once a process (two seconds)."""
    return Skin.of(load_surface())
