"""`Humanoid`: a tree of links with masses, contact points, capsules and limits."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float

from phymotion_jax.body.limits import RangeChain, human_limits
from phymotion_jax.body.mass import link_moments
from phymotion_jax.body.pairs import Pairs, separate_pairs
from phymotion_jax.body.segments import body_mass_index
from phymotion_jax.body.skeleton import (
    BODY_NAMES,
    FEET,
    N_BETAS,
    N_BODIES,
    PARENTS,
    ball_addresses,
)
from phymotion_jax.body.template import default_template
from phymotion_jax.body.template_build import BodyTemplate
from phymotion_jax.errors import ModelError
from phymotion_jax.kernels.stored import stored


@struct.dataclass
class Humanoid:
    """A body. Metres, kilograms, radians.

    Numbers are traced, so that every clip may have its own body: arrays written ``*B`` carry an
    optional axis of clips. What decides which program is built (the tree, which link carries what)
    is static. Link frames have the joint at their origin, and all are aligned when the body rests.
    """

    offset: Float[Array, "*B L 3"]
    """Origin of each link in its parent's frame; the root's is not used."""

    mass: Float[Array, "*B L"]
    """Mass of each link."""

    com: Float[Array, "*B L 3"]
    """Centre of mass in the link's frame."""

    inertia: Float[Array, "*B L 3 3"]
    """Inertia about the centre of mass in the link's axes, in kg·m²."""

    contact_point: Float[Array, "*B P 3"]
    """Points that may touch the floor, in their link's frame."""

    capsule_ends: Float[Array, "*B E 3"]
    """Ends of the K capsules' cores in their link's frame: first ends of all, then second."""

    capsule_radius: Float[Array, "*B K"]
    """Radius of each capsule."""

    hull_point: Float[Array, "*B V 3"]
    """Vertices of the convex hulls in their link's frame, link after link."""

    range_low: Float[Array, "R 3"]
    """Smallest angles of each anatomical joint about x, y and z, the table's margin included."""

    range_high: Float[Array, "R 3"]
    """Largest angles."""

    speed_limit: Float[Array, "L 2"]
    """Soft and hard limit of each joint's angular speed, in rad/s."""

    torque_limit: Float[Array, "L 2 2"]
    """Soft and hard limit of each joint's torque a kilogram of body mass, in N·m/kg: of those that
    turn the link about its -x, and about its +x. About other axes the larger counts."""

    hinge_axis: Float[Array, "H 3"]
    """Axes of the hinges, in link axes at rest; none where all joints are balls."""

    hinge_range: Float[Array, "H 2"]
    """Range of each hinge; infinite where it has none."""

    armature: Float[Array, " L"]
    """Inertia that each joint's own drive adds, in kg·m²."""

    rest_quat: Float[Array, "L 4"]
    """Rotation from our link axes to the source file's, at rest (wxyz)."""

    body_names: tuple[str, ...] = struct.field(pytree_node=False, default=BODY_NAMES)
    """Names of the links."""

    parents: tuple[int, ...] = struct.field(pytree_node=False, default=PARENTS)
    """Parents, sorted by level; -1 for the root."""

    contact_link: tuple[int, ...] = struct.field(pytree_node=False, default=())
    """Link of each contact point."""

    supports: tuple[int, ...] = struct.field(pytree_node=False, default=())
    """How many contact points, one after another, the ground holds up as one; none: each alone."""

    feet: tuple[tuple[int, ...], ...] = struct.field(pytree_node=False, default=())
    """Contact points that are the sole of each foot."""

    capsule_link: tuple[int, ...] = struct.field(pytree_node=False, default=())
    """Link of each capsule."""

    hull_sizes: tuple[int, ...] = struct.field(pytree_node=False, default=())
    """How many hull vertices each link has; 0 where it has no hull."""

    separate: Pairs = struct.field(pytree_node=False, default=())
    """Pairs of links that must not meet; `describe_pairs` names them. Set it by
    ``humanoid.replace(separate=...)``."""

    ranges: tuple[RangeChain, ...] = struct.field(pytree_node=False, default=())
    """Anatomical joints of `range_low` and `range_high`."""

    hinge_link: tuple[int, ...] = struct.field(pytree_node=False, default=())
    """Link of each hinge, in the order in which they turn."""

    qpos_address: tuple[int, ...] = struct.field(pytree_node=False, default=())
    """Where MuJoCo keeps each link's coordinates in the source file's qpos; -1 for welded links."""

    dof_address: tuple[int, ...] = struct.field(pytree_node=False, default=())
    """The same in qvel."""

    @property
    def n_links(self) -> int:
        """Number of links."""
        return len(self.parents)

    @property
    def total_mass(self) -> Float[Array, " *B"]:
        """Mass of the whole body."""
        return jnp.sum(self.mass, axis=-1)

    def astype(self, dtype: Any) -> "Humanoid":
        """The same body in another precision."""
        return jax.tree.map(lambda number: number.astype(dtype), self)

    @classmethod
    def from_betas(
        cls,
        betas: Float[Array, "*#B 10"] | None = None,
        mass_kg: Float[Array, " *#B"] | float | None = None,
    ) -> "Humanoid":
        """The default body of a subject, from SMPL-X shape coefficients. Pure JAX, jit-able.

        Args:
          betas: shape coefficients, any leading axes; the first ten count. None is the mean body.
          mass_kg: whole-body mass; one for all bodies, or one each, also where betas are of one
            body. Where it is None or NaN, it is stature squared times the body
            mass index of de Leva's subjects (22.3 kg/m²): betas tell a stature, but the default
            body has no surface to tell a weight from.
        """
        template, betas = default_template(), ten_betas(betas, mass_kg)
        shape = _shaped(template, betas)
        joints = shape.joints
        landmark = shape.landmark + joints[..., template.landmark.link, :]
        usual = body_mass_index() * _stature(template, shape) ** 2
        given = jnp.asarray(jnp.nan if mass_kg is None else mass_kg)
        mass = jnp.where(jnp.isnan(given), usual, given)
        # Barriers: every number of every link would work out those before it again.
        joints, landmark, mass = stored((joints, landmark, mass))
        heel, toe, finger = (landmark[..., k : k + 2, :] for k in (1, 3, 5))
        links = link_moments(joints, landmark[..., 0, :], heel, toe, finger, mass)
        links = stored(links)
        return cls.from_template(
            template,
            betas,
            mass=links.mass,
            com=links.com - joints,
            inertia=links.inertia(),
        )

    @classmethod
    def from_template(
        cls,
        template: BodyTemplate,
        betas: Float[Array, "*B 10"],
        *,
        mass: Float[Array, "*B 24"],
        com: Float[Array, "*B 24 3"],
        inertia: Float[Array, "*B 24 3 3"],
    ) -> "Humanoid":
        """A body of a shape space whose links' masses are known, with human limits.

        Args:
          template: the shape space.
          betas: shape coefficients.
          mass: of each link.
          com: centre of each link's mass, in its frame.
          inertia: of each link about its centre, in its axes.
        """
        shape = _shaped(template, betas)
        # Girths follow the stature, as they do on average.
        size = _stature(template, shape) / template.mean_stature
        limits = human_limits()
        parents = np.maximum(np.array(PARENTS), 0)
        qpos_address, dof_address = ball_addresses(PARENTS)
        return cls(
            offset=shape.joints - shape.joints[..., parents, :],
            mass=mass,
            com=com,
            inertia=inertia,
            contact_point=shape.contact,
            capsule_ends=shape.capsule_ends,
            capsule_radius=jnp.asarray(template.capsule_radius) * size[..., None],
            hull_point=shape.hull,
            range_low=jnp.asarray(limits.low - limits.margin),
            range_high=jnp.asarray(limits.high + limits.margin),
            speed_limit=jnp.asarray(limits.speed),
            torque_limit=jnp.asarray(limits.torque),
            hinge_axis=jnp.zeros((0, 3)),
            hinge_range=jnp.zeros((0, 2)),
            armature=jnp.zeros(N_BODIES),
            rest_quat=jnp.tile(jnp.array([1.0, 0.0, 0.0, 0.0]), (N_BODIES, 1)),
            contact_link=tuple(template.contact.link.tolist()),
            supports=template.supports,
            feet=_sole_indices(template),
            hull_sizes=template.hull.counts(N_BODIES),
            capsule_link=tuple(template.capsule_ends.link[: len(template.capsule_radius)].tolist()),
            separate=separate_pairs(template),
            ranges=limits.chains,
            qpos_address=qpos_address,
            dof_address=dof_address,
        )


def ten_betas(
    betas: Float[Array, "*#B K"] | None, mass_kg: Float[Array, " *#B"] | float | None
) -> Float[Array, "*bodies 10"]:
    """The shape coefficients that count, a row a mass; those of the mean body for None.

    Raises:
      ModelError: if there are fewer than ten.
    """
    betas = jnp.zeros(N_BETAS) if betas is None else jnp.asarray(betas)[..., :N_BETAS]
    if betas.shape[-1:] != (N_BETAS,):
        raise ModelError(f"betas are {betas.shape}; {N_BETAS} or more a body were wanted")
    bodies = jnp.broadcast_shapes(betas.shape[:-1], () if mass_kg is None else jnp.shape(mass_kg))
    return jnp.broadcast_to(betas, (*bodies, N_BETAS))


class _Shape(NamedTuple):
    """Where the joints of bodies are, and points on their links, from the link's own joint."""

    joints: Float[Array, "*B 24 3"]
    landmark: Float[Array, "*B P 3"]
    contact: Float[Array, "*B P 3"]
    capsule_ends: Float[Array, "*B P 3"]
    hull: Float[Array, "*B P 3"]


def _shaped(template: BodyTemplate, betas: Float[Array, "*B 10"]) -> _Shape:
    """mean + dirs · betas, in full float32: a GPU's matrix unit would round to TF32.

    One product for all points: of each product XLA tries a dozen programs on a GPU. A product:
    jax 0.10 on a CPU gives wrong numbers for the sum of a product over an axis of ten, from some
    ten thousand sums on (`tests/test_body.py` sees it).
    """
    points = (template.landmark, template.contact, template.capsule_ends, template.hull)
    mean = [template.joint_mean, *(p.mean for p in points)]
    dirs = np.concatenate([template.joint_dirs, *(p.dirs for p in points)])
    moved = jnp.einsum("...k,pck->...pc", betas, dirs.astype(betas.dtype), precision="highest")
    place = jnp.asarray(np.concatenate(mean)) + moved
    return _Shape(*jnp.split(place, np.cumsum([len(rows) for rows in mean[:-1]]), axis=-2))


def _stature(template: BodyTemplate, shape: _Shape) -> Float[Array, " *B"]:
    """Height of a body from its lowest sole point to its vertex."""
    pairs = (shape.landmark, template.landmark), (shape.contact, template.contact)
    top, sole = (points[..., 1] + shape.joints[..., where.link, 1] for points, where in pairs)
    return top[..., 0] - jnp.min(sole[..., : template.n_sole], axis=-1)


def _sole_indices(template: BodyTemplate) -> tuple[tuple[int, ...], ...]:
    link = template.contact.link[: template.n_sole]
    return tuple(tuple(np.flatnonzero(np.isin(link, foot)).tolist()) for foot in FEET)
