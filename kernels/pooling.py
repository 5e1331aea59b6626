"""Points of contact pooled in groups that carry one force each, which acts at their mean place."""

from functools import partial
from itertools import accumulate
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from phymotion_jax.kernels.per_frame import Memory, pallas_or_xla, per_frame
from phymotion_jax.kernels.stored import stored
from phymotion_jax.kernels.vectors import Vec, sub

Sizes = tuple[int, ...]
"""Points of each group; those of a group are neighbours."""

_GIVE_M = 0.01
"""Height over a group's lowest point at which a point carries 1/e of what that one does."""

_TRACE = 1e-6
"""Added to all weights, so that a group none of whose points touches has a mean place too."""


class Pooled(NamedTuple):
    """Groups of points in place of the points."""

    place: Vec
    """Mean of a group's points by what each carries, ``(G, B, T)``, in metres."""

    weight: Float[Array, "G B T"]
    """How surely it touches: as its surest point does."""


def load_shares(
    height: Float[Array, "P B T"], weight: Float[Array, "P B T"], sizes: Sizes
) -> Float[Array, "P B T"]:
    """What each point carries of its group's force: more the surer it touches and the lower it is.

    Args:
      height: of each point, in metres.
      weight: how surely it touches, from 0 to 1.
      sizes: of the groups.
    """
    load = _loads(height, weight, sizes)
    return load / _to_points(_sums(load, sizes), sizes)


def _loads(
    height: Float[Array, "P B T"], weight: Float[Array, "P B T"], sizes: Sizes
) -> Float[Array, "P B T"]:
    """Shares, but for a factor that the points of a group have in common."""
    lowest = jax.lax.stop_gradient(group_extremes(jnp.min, height, sizes))  # it is in that factor
    return (weight + _TRACE) * jnp.exp((_to_points(lowest, sizes) - height) / _GIVE_M)


def spread_forces(
    forces: Vec, height: Float[Array, "P B T"], weight: Float[Array, "P B T"], sizes: Sizes
) -> Vec:
    """Forces on the points from those on their groups; arguments as for `load_shares`."""
    share = load_shares(height, weight, sizes)
    return tuple(share * _to_points(c, sizes) for c in forces)  # pyright: ignore


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def pool_contacts(sizes: Sizes, points: Vec, weight: Float[Array, "P B T"], origin: Vec) -> Pooled:
    """Pool points by `load_shares`. On an NVIDIA GPU one kernel, which reads each point twice.

    Args:
      sizes: of the groups.
      points: ``(P, B, T)``, in metres, z up.
      weight: how surely each touches, from 0 to 1.
      origin: what places are given relative to, ``(B, T)``.
    """
    xla = partial(pool_xla, sizes)
    if weight.dtype != jnp.float32:
        return xla(points, weight, origin)
    pallas = partial(pool_pallas, sizes)
    return pallas_or_xla(points, weight, origin, pallas=pallas, xla=xla)


@pool_contacts.defjvp
def _pool_jvp(sizes: Sizes, primals: Any, tangents: Any) -> Any:
    return jax.jvp(partial(pool_xla, sizes), primals, tangents)


def pool_xla(sizes: Sizes, points: Vec, weight: Float[Array, "P B T"], origin: Vec) -> Pooled:
    """As plain array operations."""
    load = stored(_loads(points[2], weight, sizes))
    total = _sums(load, sizes)
    place = tuple(_sums(load * (c - o), sizes) / total for c, o in zip(points, origin, strict=True))
    return Pooled(place, group_extremes(jnp.max, weight, sizes))  # pyright: ignore[reportArgumentType]


def pool_pallas(
    sizes: Sizes,
    points: Vec,
    weight: Float[Array, "P B T"],
    origin: Vec,
    *,
    interpret: bool = False,
) -> Pooled:
    """The same as one GPU kernel."""

    def program(memory: Memory) -> None:
        about = tuple(memory.rows(4, k) for k in range(3))
        zero = jnp.zeros_like(about[0])

        def group(g: Any, done: Any) -> Any:
            span = memory.look_up(0, g), memory.look_up(0, g + 1)

            def extremes(i: Any, found: tuple[Array, Array]) -> tuple[Array, Array]:
                lowest, surest = found
                return jnp.minimum(lowest, memory.rows(2, i)), jnp.maximum(
                    surest, memory.rows(3, i)
                )

            def add_one(i: Any, sums: tuple[Array, ...]) -> tuple[Array, ...]:
                x, y, z, w = (memory.rows(k, i) for k in range(4))
                load = (w + _TRACE) * jnp.exp((lowest - z) / _GIVE_M)
                moved = sub((x, y, z), about)  # pyright: ignore[reportArgumentType]
                return tuple(s + load * c for s, c in zip(sums, (*moved, 1.0), strict=True))

            lowest, surest = jax.lax.fori_loop(*span, extremes, (zero + jnp.inf, zero))
            *sums, total = jax.lax.fori_loop(*span, add_one, (zero,) * 4)
            memory.store_all(0, g, (*(s / total for s in sums), surest))
            return done

        jax.lax.fori_loop(0, len(sizes), group, 0)

    starts = jnp.array(list(accumulate(sizes, initial=0)), jnp.int32)
    results = [(len(sizes), jnp.float32)] * 4
    arrays = (*points, weight, jnp.stack(origin))
    *place, sure = per_frame(program, arrays, results, tables=(starts,), interpret=interpret)
    return Pooled(tuple(place), sure)  # pyright: ignore[reportArgumentType]


def _sums(rows: Float[Array, "P B T"], sizes: Sizes) -> Float[Array, "G B T"]:
    """Of groups, as a product with zeros and ones: sums over slices are as many kernels."""
    member = np.arange(len(sizes))[:, None] == _group_of(sizes)
    return jnp.einsum("gp,pbt->gbt", member.astype(rows.dtype), rows, precision="highest")


def group_extremes(reduce: Any, rows: Float[Array, "P B T"], sizes: Sizes) -> Float[Array, "G B T"]:
    """The least or the most of each group."""
    start, size = np.cumsum([0, *sizes[:-1]]), np.array(sizes)
    within = np.minimum(np.arange(max(sizes)), size[:, None] - 1)  # the last one again and again
    return reduce(rows[start[:, None] + within], axis=1)


def _to_points(rows: Float[Array, "G B T"], sizes: Sizes) -> Float[Array, "P B T"]:
    return rows[_group_of(sizes)]


def _group_of(sizes: Sizes) -> Int[np.ndarray, " P"]:
    return np.repeat(np.arange(len(sizes)), sizes)
