"""Which pairs of a body's hulls are near each other, on which frames.

Hits come pair after pair, each pair's frames in order, so that neighbouring threads of a GPU search
the same two hulls and read the same vertices.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jaxtyping import Array, Bool, Int, UInt32

from phymotion_jax.kernels.boxes import Boxes, boxes_meet, face_widths
from phymotion_jax.kernels.overlap import Pairs, runs_of
from phymotion_jax.kernels.per_frame import Memory, if_any, pallas_or_xla, per_frame
from phymotion_jax.kernels.select import WORD, Bits, Hits, bits_of_words
from phymotion_jax.kernels.vectors import Mat, Vec, add, dot, mat_mat, mat_vec, norm, sub


class Links(NamedTuple):
    """Links of all frames, with boxes around their hulls."""

    rot: Mat
    """``(L, B, T)``."""

    pos: Vec
    """``(L, B, T)``."""

    boxes: Boxes
    """Of the links, ``(L, B or 1, 1)``."""


def near_pairs(links: Links, pairs: Pairs) -> Bits:
    """Pairs whose boxes meet, from `words_of`."""

    def pallas(links: Links) -> UInt32[Array, "P W"]:
        return near_pallas(links, pairs)

    def xla(links: Links) -> UInt32[Array, "P W"]:
        return words_of(near_xla(links, pairs).reshape(len(pairs), -1))

    if links.rot[0].dtype != jnp.float32:
        return as_bits(xla(links))
    return as_bits(pallas_or_xla(links, pallas=pallas, xla=xla))


def near_xla(links: Links, pairs: Pairs) -> Bool[Array, "P B T"]:
    """All pairs at once."""
    first, second = (np.array(side) for side in zip(*pairs, strict=True))
    a, b = (jax.tree.map(lambda c, k=k: c[k], links) for k in (first, second))
    turn, shift = between((a.rot, a.pos), (b.rot, b.pos))
    reach = [norm(box.centre) + norm(box.half) for box in (a.boxes, b.boxes)]
    near = _balls_meet(a.pos, b.pos, reach[0] + reach[1])
    return near & _meet(turn, shift, a.boxes, b.boxes)


def near_pallas(links: Links, pairs: Pairs, *, interpret: bool = False) -> UInt32[Array, "P W"]:
    """A loop over the pairs of a frame in one GPU kernel, run by run of one first link, which stays
    in registers meanwhile. It keeps 32 pairs in a word."""
    own = links.boxes.half[0].shape[1]
    n_words = -(-len(pairs) // WORD)
    clip = jnp.arange(own, dtype=jnp.int32)[None, :, None]
    balls = norm(links.boxes.centre) + norm(links.boxes.half)

    def program(memory: Memory) -> None:
        here = memory.rows(12, 0)

        def pos(k: Array) -> Vec:
            return tuple(memory.rows(c, k) for c in range(9, 12))  # pyright: ignore

        def rot(k: Array) -> Mat:
            return tuple(memory.rows(c, k) for c in range(9))  # pyright: ignore

        def ball(k: Array) -> Array:
            return memory.look_up(3, k * own + here)

        def box(k: Array) -> Boxes:
            found = [memory.look_up(c, k * own + here) for c in range(4, 10)]
            return Boxes(tuple(found[:3]), tuple(found[3:]))  # pyright: ignore

        def run(n: Array, words: tuple[Array, ...]) -> tuple[Array, ...]:
            first = memory.look_up(1, n)
            pose, held, reach = (rot(first), pos(first)), box(first), ball(first)

            def one(p: Array, words: tuple[Array, ...]) -> tuple[Array, ...]:
                second = memory.look_up(2, p)
                there = pos(second)
                near = _balls_meet(pose[1], there, reach + ball(second))

                def boxes(words: tuple[Array, ...]) -> tuple[Array, ...]:
                    met = _meet(*between(pose, (rot(second), there)), held, box(second)) & near
                    bit = jnp.where(met, 1, 0) << (p & (WORD - 1))
                    return tuple(w | jnp.where(p >> 5 == k, bit, 0) for k, w in enumerate(words))

                # Most pairs are far apart on all frames of a block, not worth turning a box for.
                return if_any(near, boxes, words)

            return jax.lax.fori_loop(memory.look_up(0, n), memory.look_up(0, n + 1), one, words)

        nothing = (jnp.zeros_like(here),) * n_words
        words = jax.lax.fori_loop(0, len(runs.first), run, nothing)
        for k, word in enumerate(words):
            memory.store(0, k, word)

    runs = runs_of(pairs)
    arrays = (*links.rot, *links.pos, clip)
    boxes = (c.reshape(-1) for c in (balls, *jax.tree.leaves(links.boxes)))
    results = [(n_words, jnp.int32)]
    tables = (*runs, *boxes)
    (words,) = per_frame(program, arrays, results, tables=tables, interpret=interpret)
    bits = words.reshape(n_words, -1)[np.arange(len(pairs)) // WORD]
    return words_of((bits >> (np.arange(len(pairs)) % WORD)[:, None]) & 1 != 0)


def words_of(mask: Bool[Array, "P N"]) -> UInt32[Array, "P W"]:
    """32 frames a word; the last word's frames past the end are no hits."""
    mask = jnp.pad(mask, ((0, 0), (0, -mask.shape[1] % WORD)))
    bits = rearrange(mask, "p (w bit) -> p w bit", bit=WORD).astype(jnp.uint32)
    return jnp.sum(bits << jnp.arange(WORD, dtype=jnp.uint32), axis=-1, dtype=jnp.uint32)


def as_bits(words: UInt32[Array, "P W"]) -> Bits:
    """For `over_hits`, whose hits `place` then tells apart."""
    return bits_of_words(words.reshape(1, -1))


def place(hits: Hits, frames: int) -> tuple[Int[Array, " K"], Int[Array, " K"]]:
    """Pair and frame of each hit, of so many frames in all."""
    words = -(-frames // WORD)
    return hits.column // words, hits.column % words * WORD + hits.row


def between(a: tuple[Mat, Vec], b: tuple[Mat, Vec]) -> tuple[Mat, Vec]:
    """Rotation and place of b's frame in a's."""
    (rot_a, pos_a), (rot_b, pos_b) = a, b
    back: Mat = tuple(rot_a[3 * j + i] for i in range(3) for j in range(3))  # pyright: ignore
    return mat_mat(back, rot_b), mat_vec(back, sub(pos_b, pos_a))


def _balls_meet(a: Vec, b: Vec, reach: Array) -> Array:
    """Whether balls about the links' origins that hold their boxes do."""
    way = sub(a, b)
    return dot(way, way) <= reach**2


def _meet(turn: Mat, shift: Vec, a: Boxes, b: Boxes) -> Array:
    gap = sub(add(mat_vec(turn, b.centre), shift), a.centre)
    return boxes_meet(face_widths(turn, gap, a.half, b.half))
