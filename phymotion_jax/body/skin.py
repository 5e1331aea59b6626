"""A body's surface, ready to be tried against itself."""

from functools import cache
from importlib.util import find_spec

import jax
from flax import struct
from jaxtyping import Array, Float

from phymotion_jax.body.collider import mesh_collider
from phymotion_jax.body.mesh_penetration import Form, MeshPenetration, mesh_self_penetration
from phymotion_jax.body.pairs import Pairs
from phymotion_jax.body.surface import SurfaceModel
from phymotion_jax.body.surface_files import load_surface
from phymotion_jax.kernels.collider import MeshCollider
from phymotion_jax.kernels.vectors import Mat


@struct.dataclass
class Skin:
    """A surface, and which of its triangles are tried against which."""

    model: SurfaceModel
    """The surface."""

    collider: MeshCollider
    """Its triangles. ``describe_pairs(skin.collider.pairs)`` names the parts that are tried."""

    form: Form = struct.field(pytree_node=False, default="xla")
    """What tries them."""

    @classmethod
    def of(
        cls, model: SurfaceModel, pairs: Pairs | None = None, form: Form | None = None
    ) -> "Skin":
        """The skin of a surface.

        Args:
          model: the surface.
          pairs: links to try against each other; by default those of `default_mesh_pairs`.
          form: what tries them; by default Warp's kernels on a GPU where they are installed.

        Raises:
          ModelError: for a pair of links that have no triangles.
        """
        return cls(model, mesh_collider(model, pairs), form or _fastest_form())

    def penetration(self, betas: Float[Array, "B 10"], rot: Mat) -> MeshPenetration:
        """Where it passes through itself.

        Args:
          betas: shape of each clip.
          rot: rotation of every link to the world, ``(24, B, T)``: ``State.motion.rot``.
        """
        return mesh_self_penetration(betas, rot, self.model, self.collider, self.form)


def _fastest_form() -> Form:
    return "warp" if jax.default_backend() == "gpu" and find_spec("warp") else "xla"


@cache
def default_skin() -> Skin:
    """That of the mannequin, computed once a process (two seconds)."""
    return Skin.of(load_surface())
