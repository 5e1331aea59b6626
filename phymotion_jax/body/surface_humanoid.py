"""A `Humanoid` whose masses, hulls and soles are those of a surface."""

from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from phymotion_jax.body.humanoid import Humanoid, ten_betas
from phymotion_jax.body.part_hulls import part_hulls
from phymotion_jax.body.skeleton import FEET
from phymotion_jax.body.surface import SurfaceModel
from phymotion_jax.body.surface_mass import link_masses
from phymotion_jax.body.surface_parts import ClosedParts, closed_parts
from phymotion_jax.body.template_build import BodyTemplate, LinkPoints, build_template


def humanoid_from_surface(
    model: SurfaceModel,
    betas: Float[Array, "*#B 10"] | None = None,
    mass_kg: Float[Array, " *#B"] | float | None = None,
) -> Humanoid:
    """The body of a subject from its skin. Pure JAX in betas and mass, jit-able.

    Link masses are volumes of the skin's parts times densities (`surface_mass`); hulls are of the
    same parts, and soles are chosen from the skin of the feet.

    Args:
      model: from `load_surface`, not traced. Its skin has to be closed, as SMPL's and SMPL-X's are;
        the mannequin's is 29 pieces.
      betas: shape coefficients of the model, any leading axes; the first ten count. None is the
        mean body.
      mass_kg: whole-body mass. Where it is None or NaN, it follows from the skin's volume.

    Raises:
      ModelError: if the surface is not the closed skin of one body.
    """
    betas, fixed = ten_betas(betas, mass_kg), _fixed_parts(_Frozen.of(model))
    shaped = model.shaped(betas.reshape(-1, betas.shape[-1]))
    vertex, joint = (
        jnp.stack([c[..., 0].T for c in of], axis=-1).reshape(*betas.shape[:-1], -1, 3)
        for of in (shaped.vertex, shaped.joint)
    )
    given = jnp.asarray(jnp.nan if mass_kg is None else mass_kg)
    links = link_masses(vertex, joint, fixed.parts, given)
    return Humanoid.from_template(
        fixed.template, betas, mass=links.mass, com=links.com, inertia=links.inertia()
    )


@dataclass(frozen=True)
class _Frozen:
    """A surface model compared by what is in it: bodies of one topology differ."""

    digest: str
    model: SurfaceModel = field(compare=False)

    @classmethod
    def of(cls, model: SurfaceModel) -> "_Frozen":
        seen = blake2b(model.topology.digest.encode(), digest_size=16)
        for array in (model.template, model.shape_dirs, model.joint_mean, model.joint_dirs):
            seen.update(np.asarray(array).tobytes())
        return cls(seen.hexdigest(), model)


@dataclass(frozen=True, eq=False)
class _FixedParts:
    """What is chosen once, on the mean body."""

    parts: ClosedParts
    template: BodyTemplate


@lru_cache(maxsize=8)
def _fixed_parts(frozen: _Frozen) -> _FixedParts:
    model, fixed = frozen.model, frozen.model.topology

    def from_hot(mean: Array, dirs: Array) -> tuple[np.ndarray, np.ndarray]:
        dirs_last = np.transpose(np.asarray(dirs, np.float64), (2, 1, 0))
        return np.asarray(mean, np.float64).T, dirs_last

    vertices = from_hot(model.template, model.shape_dirs)
    joints = from_hot(model.joint_mean, model.joint_dirs)
    parts = closed_parts(vertices[0], fixed.faces, fixed.face_link)
    hull = part_hulls(joints, vertices, fixed.faces, fixed.face_link)
    foot = np.flatnonzero(np.isin(fixed.vertex_link, FEET))
    link = fixed.vertex_link[foot]
    mean, dirs = (v[foot] - j[link] for v, j in zip(vertices, joints, strict=True))
    return _FixedParts(parts, build_template(*joints, hull, LinkPoints(link, mean, dirs)))
