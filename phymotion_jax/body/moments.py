"""Mass moments of bodies that are put together and taken apart: mass, first and second moments."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float


@struct.dataclass
class Moments:
    """Moments of a body about the model frame's origin. Any leading axes; kg and metres."""

    mass: Float[Array, " *B"]
    """Mass."""

    first: Float[Array, "*B 3"]
    """Mass times position, integrated."""

    second: Float[Array, "*B 3 3"]
    """Mass times position times position, integrated."""

    @property
    def com(self) -> Float[Array, "*B 3"]:
        """Centre of mass."""
        return self.first / self.mass[..., None]

    def inertia(self) -> Float[Array, "*B 3 3"]:
        """Inertia about the centre of mass, in kg·m²."""
        com = self.com
        spread = self.second - self.mass[..., None, None] * _outer(com, com)
        trace = jnp.trace(spread, axis1=-2, axis2=-1)[..., None, None]
        return trace * jnp.eye(3) - spread


def join(pieces: Sequence[Moments], shares: Float[np.ndarray, "L P"]) -> Moments:
    """Bodies put together from pieces, which lie along the last axis before the places' own.

    Args:
      pieces: some arrays of them, P in all.
      shares: of each piece in each body; below zero where it is taken away.
    """
    leading = jnp.broadcast_shapes(*(m.mass.shape[:-1] for m in pieces))
    rows = []
    for m in pieces:
        count = m.mass.shape[-1]
        flat = (m.mass[..., None], m.first, m.second.reshape(*m.second.shape[:-2], 9))
        flat = (jnp.broadcast_to(x, (*leading, count, x.shape[-1])) for x in flat)
        rows.append(jnp.concatenate(list(flat), axis=-1))
    every = jnp.concatenate(rows, axis=-2)
    # In full float32: a GPU's matrix unit would round to TF32.
    total = jnp.einsum(
        "lp,...pc->...lc", jnp.asarray(shares, every.dtype), every, precision="highest"
    )
    return Moments(total[..., 0], total[..., 1:4], total[..., 4:].reshape(*total.shape[:-1], 3, 3))


def point_like(
    mass: Float[Array, " *B"], com: Float[Array, "*B 3"], spread: Float[Array, "*B 3 3"]
) -> Moments:
    """A body from its mass, its centre, and its variance of position in m²."""
    second = mass[..., None, None] * (spread + _outer(com, com))
    return Moments(mass, mass[..., None] * com, second)


def bar(
    mass: Float[Array, " *B"],
    start: Float[Array, "*B 3"],
    end: Float[Array, "*B 3"],
    com: float | Float[np.ndarray, " B"],
    between: tuple[Float[Array, " *B"], Float[Array, " *B"]],
    section: Float[Array, "*B 3 3"],
) -> Moments:
    """A piece of a bar whose density changes linearly from end to end.

    Args:
      mass: of the whole bar.
      start: where it begins.
      end: where it ends.
      com: centre of mass as a fraction of the length; 1/3 to 2/3, where the density is positive.
      between: the piece, as fractions of the length. An empty piece has no mass.
      section: variance of position across the bar, in m².
    """
    # density 1 + slope (2t - 1) has its centre at 1/2 + slope / 6
    slope = 6.0 * (com - 0.5)
    low = jnp.clip(between[0], 0.0, 1.0)
    high = jnp.clip(jnp.maximum(between[1], low), 0.0, 1.0)
    power = [(high**n - low**n) / n for n in (1, 2, 3, 4)]
    m0, m1, m2 = (mass * ((1.0 - slope) * power[n] + 2.0 * slope * power[n + 1]) for n in range(3))
    span = end - start
    mixed = _outer(start, span)
    second = (
        m0[..., None, None] * (section + _outer(start, start))
        + m1[..., None, None] * (mixed + jnp.swapaxes(mixed, -1, -2))
        + m2[..., None, None] * _outer(span, span)
    )
    return Moments(m0, m0[..., None] * start + m1[..., None] * span, second)


def _outer(a: Array, b: Array) -> Array:
    return a[..., :, None] * b[..., None, :]
