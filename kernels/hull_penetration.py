"""How deep the convex hulls of a body's links stand in each other.

Few pairs of links are near each other on a frame: boxes tell which, a short search tells most of
these apart, and the search for the shortest way out is left for the rest. Each goes over what the
one before it has left, a window at a time (`select`).
"""

from functools import partial, reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jaxtyping import Array, Float, Int

from phymotion_jax.kernels.boxes import Boxes, box_of, face_widths
from phymotion_jax.kernels.hull_pairs import Links, as_bits, between, near_pairs, place, words_of
from phymotion_jax.kernels.hull_search import NOTHING_M, Hulls, WayOut, shortest_way_out
from phymotion_jax.kernels.overlap import Pairs
from phymotion_jax.kernels.select import Hits, look_up, over_hits
from phymotion_jax.kernels.stored import stored
from phymotion_jax.kernels.vectors import (
    Mat,
    Vec,
    add,
    dot,
    mat_vec,
    norm,
    scale,
    select,
    sub,
)

_STEPS_APART, _STEPS = 6, 14
"""Supports looked up from the line of the centres to tell hulls apart, and from each ray to find
the shortest way out: of overlapping pairs of a body, exact in 97 of 100 in captured poses, in 9 of
10 with random joints, and 99 within 5 mm (`tests/test_hull_penetration.py`)."""

_RAYS_APART, _RAYS = 2, 4
"""Widths that are measured first. Of pairs of the demo clips whose boxes meet, two tell 95 of 100
apart, and the six steps all but two of a thousand that are."""

_WINDOW_CPU = 1024
"""Pairs searched at once: a CPU keeps 1024 of 48 vertices in its caches."""

_WINDOW_NEAR, _WINDOW_INSIDE = 2**20, 2**17
"""The same on a GPU, for pairs whose boxes meet, and for those that are not told apart. A pair
takes some 300 bytes, and each turn of the loop launches some 70 kernels."""


class _Body(NamedTuple):
    """Links of all frames, and their hulls."""

    links: Links

    vertex: Vec
    """Of each link, ``(B or 1, L, M)``; the last ones repeat where a link has fewer."""


class _Facing(NamedTuple):
    """Pairs of hulls, and their boxes, in the axes of their first link."""

    hulls: Hulls

    gap: Vec
    """From the centre of the first's box to that of the second's, ``(K,)``."""

    halves: tuple[Vec, Vec]
    """Half extents of their boxes, ``(K,)``."""

    rot: Mat
    """Rotation of the first link to the world, ``(K,)``."""


def hull_depth(
    rot: Mat, pos: Vec, vertex: Vec, sizes: tuple[int, ...], pairs: Pairs
) -> Float[Array, "P B T"]:
    """How deep the convex hulls of each pair of links stand in each other.

    Depth is how far one hull has to move for them to part, by the search of `hull_search`: never
    too small, and rarely too large. Its gradient, forwards and backwards, is that of the vertices
    that the way out is measured between; 0 where nothing overlaps.

    Args:
      rot: rotation of every link to the world, ``(L, B, T)``.
      pos: place of every link, ``(L, B, T)``, in metres.
      vertex: vertices of the hulls in their links' frames, link after link, ``(V, B or 1, 1)``.
      sizes: how many of them are each link's. Links in pairs have at least one.
      pairs: links to try against each other.

    Returns:
      Metres, 0 where a pair is apart. What NaN padding gives is not defined.
    """
    if not pairs:
        return jnp.zeros((0, *rot[0].shape[1:]), rot[0].dtype)
    return _depth(sizes, pairs, rot, pos, vertex)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _depth(
    sizes: tuple[int, ...], pairs: Pairs, rot: Mat, pos: Vec, vertex: Vec
) -> Float[Array, "P B T"]:
    return _search(sizes, pairs, rot, pos, vertex).width


@_depth.defjvp
def _depth_jvp(sizes: tuple[int, ...], pairs: Pairs, primals, tangents):
    found = _search(sizes, pairs, *primals)
    _, change = jax.jvp(partial(_width_along, found, pairs, sizes), primals, tangents)
    return found.width, jnp.where(found.width > 0.0, change, 0.0)


def _search(sizes: tuple[int, ...], pairs: Pairs, rot: Mat, pos: Vec, vertex: Vec) -> WayOut:
    """The shortest ways out ``(P, B, T)``, in world axes; all 0 where a pair is apart."""
    rows = _rows_of(sizes)
    boxes = box_of(tuple(c[rows.T] for c in vertex))  # pyright: ignore[reportArgumentType]
    links = Links(rot, pos, boxes)
    by_link = tuple(rearrange(c[rows, :, 0], "l m b -> b l m") for c in vertex)
    body = _Body(links, stored(by_link))  # pyright: ignore
    frames, shape = rot[0][0].size, (len(pairs), *rot[0].shape[1:])
    on_cpu = jax.default_backend() == "cpu"
    windows = (_WINDOW_CPU,) * 2 if on_cpu else (_WINDOW_NEAR, _WINDOW_INSIDE)
    window_near, window_inside = (min(most, max(128, 4 * frames)) for most in windows)

    def tell_apart(hits: Hits, near: Array) -> Array:
        facing = _facing(body, pairs, hits)
        rays = _rays(facing, _RAYS_APART)
        found = shortest_way_out(facing.hulls, rays, walks=1, steps=_STEPS_APART)
        return near.at[_valid(hits, pairs, frames)].set(found.width > NOTHING_M, mode="drop")

    def part(hits: Hits, ways: WayOut) -> WayOut:
        facing = _facing(body, pairs, hits)
        found = shortest_way_out(facing.hulls, _rays(facing, _RAYS), walks=_RAYS, steps=_STEPS)
        found = found._replace(way=mat_vec(facing.rot, found.way))
        inside, there = found.width > NOTHING_M, _valid(hits, pairs, frames)
        return jax.tree.map(
            lambda old, x: old.at[there].set(jnp.where(inside, x, 0), mode="drop"), ways, found
        )

    near = jnp.zeros((len(pairs), frames), bool)
    near = over_hits(tell_apart, near_pairs(links, pairs), near, window=window_near)
    ways = _nothing((len(pairs), frames), rot[0].dtype)
    found = over_hits(part, as_bits(words_of(near)), ways, window=window_inside)
    return jax.tree.map(lambda x: x.reshape(shape), found)


def _nothing(shape: tuple[int, ...], dtype: jnp.dtype) -> WayOut:
    none, index = jnp.zeros(shape, dtype), jnp.zeros(shape, jnp.int32)
    three, places = (none, none, none), (index, index, index)
    return WayOut(none, three, places, places, three)


def _rows_of(sizes: tuple[int, ...]) -> Int[np.ndarray, "L M"]:
    start, size = np.cumsum([0, *sizes[:-1]]), np.array(sizes)
    within = np.minimum(np.arange(max(sizes)), np.maximum(size - 1, 0)[:, None])
    return np.minimum(start[:, None] + within, sum(sizes) - 1)


def _facing(body: _Body, pairs: Pairs, hits: Hits) -> _Facing:
    """The pairs that were hit, brought together."""
    clips, frames = body.links.rot[0].shape[1:]
    pair, column = place(hits, clips * frames)
    clip, frame = column // frames, column % frames
    own = clip if body.vertex[0].shape[0] > 1 else jnp.zeros_like(clip)
    first, second = (jnp.array(side)[pair] for side in zip(*pairs, strict=True))

    def moved(link: Array) -> tuple[Mat, Vec]:
        return jax.tree.map(lambda c: look_up(c, link, clip, frame), body.links[:2])

    def box(link: Array) -> Boxes:
        return jax.tree.map(lambda c: look_up(c[..., 0], link, own), body.links.boxes)

    a, b, box_a, box_b = moved(first), moved(second), box(first), box(second)
    turn, shift = between(a, b)
    hulls = Hulls(body.vertex, own, (first, second), turn, shift, hits.valid)
    gap = sub(add(mat_vec(turn, box_b.centre), shift), box_a.centre)
    return _Facing(hulls, gap, (box_a.half, box_b.half), a[0])


def _centre_line(facing: _Facing) -> Vec:
    """Unit vector from one centre to the other; some unit vector where they coincide."""
    length = norm(facing.gap)
    apart = length > 0.0
    x, y, z = scale(facing.gap, 1.0 / jnp.where(apart, length, 1.0))
    return jnp.where(apart, x, 1.0), y, z


def _rays(facing: _Facing, count: int) -> Vec:
    """Where the search begins: the line of the centres, and the shortest ways out of the boxes."""
    widths = face_widths(facing.hulls.turn, facing.gap, *facing.halves)
    size = jnp.stack([width for width, _ in widths])
    one, zero = jnp.ones_like(size[0]), jnp.zeros_like(size[0])
    unit = [(one, zero, zero), (zero, one, zero), (zero, zero, one)]
    turn = facing.hulls.turn
    unit += [(turn[k], turn[3 + k], turn[6 + k]) for k in range(3)]
    axes = [scale(axis, sign) for axis, (_, sign) in zip(unit, widths, strict=True)]
    rays = [_centre_line(facing)]
    for _ in range(count - 1):
        least = jnp.min(size, axis=0)
        ray = axes[0]
        for k in range(1, len(axes)):
            ray = select(size[k] == least, axes[k], ray)
        rays.append(ray)
        size = jnp.where(size == least, jnp.inf, size)
    x, y, z = (jnp.stack(c) for c in zip(*rays, strict=True))
    return x, y, z


def _valid(hits: Hits, pairs: Pairs, frames: int) -> tuple[Array, Array]:
    """Where the hits are; out of bounds, to be dropped, what is none."""
    pair, column = place(hits, frames)
    return jnp.where(hits.valid, pair, len(pairs)), column


def _width_along(
    found: WayOut, pairs: Pairs, sizes: tuple[int, ...], rot: Mat, pos: Vec, vertex: Vec
) -> Float[Array, "P B T"]:
    """By how much the pairs overlap along a way that is held, at points that are held: their slope.

    The way out is shortest: what turns the way itself changes its length by nothing, to first
    order, where it is measured at the point that the way leads to.
    """
    rows = _rows_of(sizes)
    clips = np.arange(vertex[0].shape[1])[:, None]

    def reach(links: np.ndarray, chosen: tuple[Array, ...]) -> Array:
        places = [jnp.array(rows)[links[:, None, None], k] for k in chosen]
        x, y, z = (
            reduce(jnp.add, (s * c[k, clips, 0] for s, k in zip(found.share, places, strict=True)))
            for c in vertex
        )
        turn, place = jax.tree.map(lambda c: c[links], (rot, pos))
        return dot(add(mat_vec(turn, (x, y, z)), place), found.way)

    first, second = (np.array(side) for side in zip(*pairs, strict=True))
    return reach(first, found.first) - reach(second, found.second)
