"""The default surface: the skinned mannequin of `mannequin-x`, linear in the betas.

Eleven calls give the whole shape space, as for the hulls in `template`. What linearity leaves out
is below a millimetre, but for the feet, whose soles `mannequin-x` lowers to the lowest of several
heights (`tests/test_surface.py` bounds it). Fingers rest as SMPL-X's relaxed hands do, and so do
the default hulls'.
"""

from functools import cache

import numpy as np
from jaxtyping import Float
from mannequin import Mannequin

from phymotion_jax.body.skeleton import N_BETAS, N_BODIES
from phymotion_jax.body.surface import SurfaceModel
from phymotion_jax.body.surface_build import SurfaceArrays, build_surface
from phymotion_jax.body.template import default_template, owner_of_joint


@cache
def mannequin_surface() -> SurfaceModel:
    """The mannequin as a `SurfaceModel`, computed once a process (about a second)."""
    model = Mannequin("wooden")
    mean = _rest_vertices(model, np.zeros(N_BETAS))
    dirs = [_rest_vertices(model, row) - mean for row in np.eye(N_BETAS)]
    template = default_template()
    return build_surface(
        "mannequin",
        SurfaceArrays(
            vertex_mean=mean,
            vertex_dirs=np.stack(dirs, axis=-1),
            pose_dirs=np.zeros((len(mean), 3, 0)),
            joint_mean=template.joint_mean,
            joint_dirs=template.joint_dirs,
            weights=_link_weights(model),
            faces=np.asarray(model.faces),
        ),
    )


def _rest_vertices(model: Mannequin, betas: Float[np.ndarray, " 10"]) -> Float[np.ndarray, "V 3"]:
    model.reshape(betas)
    return np.asarray(model.vertices(model.rest_pose(dtype=np.float64)), np.float64)


def _link_weights(model: Mannequin) -> Float[np.ndarray, "V 24"]:
    """How much each of our links moves each vertex; fingers are of the hand.

    `mannequin-x` has no public name for its weights. That they are these is tested on its poses.
    """
    joint, share = model._skin_joint_indices, model._skin_weights
    assert joint is not None and share is not None  # the wooden one is skinned
    link = owner_of_joint(model)[joint]
    weights = np.zeros((model.num_vertices, N_BODIES))
    np.add.at(weights, (np.arange(len(weights))[:, None], link), share)
    return weights
