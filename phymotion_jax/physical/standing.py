"""What an estimator that saw the video says of which points stand still."""

from itertools import groupby

import jax.numpy as jnp
from jaxtyping import Array, Float

from phymotion_jax.body.skeleton import STATIC_JOINTS, body_index

_COLUMN = {body_index(name): k for k, name in enumerate(STATIC_JOINTS)} | {
    body_index(name.replace("wrist", "hand")): k
    for k, name in enumerate(STATIC_JOINTS)
    if name.endswith("wrist")
}
"""Which confidence speaks for each link. A link carries the name of the joint it begins with: the
ankle's is the heel, and wrists speak for the hands beyond them."""


def static_points(
    static_conf: Float[Array, "B T 6"], links: tuple[int, ...]
) -> Float[Array, "P B T"]:
    """The confidence for each contact point's link; NaN for links of which nothing is said."""
    rows = []
    for link, run in groupby(links):
        shape = (len(list(run)), *static_conf.shape[:2])
        conf = static_conf[..., _COLUMN[link]] if link in _COLUMN else jnp.nan
        rows.append(jnp.broadcast_to(jnp.asarray(conf, static_conf.dtype), shape))
    return jnp.concatenate(rows)


def standing(
    near: Float[Array, "P B T"], static_conf: Float[Array, "P B T"]
) -> Float[Array, "P B T"]:
    """Evidence that each point stands, from -1 to 1: 0 where nothing is known.

    Confidences above a half speak for a point. Those below speak against it as far as another
    point near the floor is sure to stand, as a foot in swing has it: of a body whose feet all move,
    none swings, and doubt would only hide that they slide.

    Args:
      near: how near each point is to the floor, from 0 to 1.
      static_conf: probability that it stands still; NaN where nothing is known.
    """
    known = ~jnp.isnan(static_conf)
    lean = 2.0 * jnp.where(known, static_conf, 0.5) - 1.0
    favour = jnp.maximum(lean, 0.0)
    best = jnp.max(near * favour, axis=0)
    return favour + jnp.minimum(lean, 0.0) * best
