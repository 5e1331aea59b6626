"""The default body as plain numbers, and how a test poses it."""

from functools import cache
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial.transform import Rotation

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.body.skeleton import N_BETAS, N_BODIES, PARENTS, body_index
from phymotion_jax.body.template import default_template

BODIES = 200  # one shape for all, so that the body is compiled once
FLOAT32 = 1e-5  # relative: what a float32 chain of some ten operations leaves

build = jax.jit(Humanoid.from_betas)


def built(betas, mass_kg) -> Humanoid:
    """Bodies (BODIES, ...) for betas and masses that broadcast to them."""
    betas = jnp.broadcast_to(jnp.asarray(betas, jnp.float32), (BODIES, N_BETAS))
    return build(betas, jnp.broadcast_to(jnp.asarray(mass_kg, jnp.float32), (BODIES,)))


def bodies(betas, mass_kg) -> SimpleNamespace:
    """Their numbers in float64."""
    humanoid = built(betas, mass_kg)
    fields = ("offset", "mass", "com", "inertia", "contact_point", "capsule_ends", "hull_point")
    return SimpleNamespace(**{f: np.asarray(getattr(humanoid, f), np.float64) for f in fields})


@cache
def mean_body(mass_kg: float = 70.0) -> SimpleNamespace:
    return SimpleNamespace(**{k: v[0] for k, v in vars(bodies(0.0, mass_kg)).items()})


def joints_of(body) -> np.ndarray:
    """Joints at rest, relative to the pelvis: (..., 24, 3)."""
    joints = np.zeros_like(body.offset)
    for link in range(1, N_BODIES):
        joints[..., link, :] = joints[..., PARENTS[link], :] + body.offset[..., link, :]
    return joints


def landmark(index: int) -> np.ndarray:
    """A landmark of the mean body, relative to the pelvis."""
    template = default_template()
    points = template.landmark
    joint = template.joint_mean[points.link[index]] - template.joint_mean[0]
    return points.mean[index] + joint


VERTEX, HEEL, TOE, FINGER = landmark(0), landmark(1), landmark(3), landmark(5)


def place(joints: np.ndarray, local: Rotation) -> tuple[np.ndarray, np.ndarray]:
    """World rotations (24, 3, 3) and positions (24, 3) of a posed body whose pelvis stays."""
    rotation, position = local.as_matrix(), joints.copy()
    for link in range(1, N_BODIES):
        parent = PARENTS[link]
        rotation[link] = rotation[parent] @ rotation[link]
        position[link] = position[parent] + rotation[parent] @ (joints[link] - joints[parent])
    return rotation, position


def arms_down(degrees: float) -> Rotation:
    vector = np.zeros((N_BODIES, 3))
    vector[[body_index("left_shoulder"), body_index("right_shoulder")], 2] = [-degrees, degrees]
    return Rotation.from_rotvec(np.radians(vector))
