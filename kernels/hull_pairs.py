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
from phymotion_jax.kernels.overlap import Pairs
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
    return _meet(turn, shift, a.boxes, b.boxes) & _balls_meet((a.pos, b.pos), (a.boxes, b.boxes))


def near_pallas(links: Links, pairs: Pairs, *, interpret: bool = False) -> UInt32[Array, "P W"]:
    """A loop over the pairs of a frame in one GPU kernel, which keeps 32 of them in a word."""
    own = links.boxes.half[0].shape[1]
    n_words = -(-len(pairs) // WORD)
    first, second = (jnp.array(side, jnp.int32) for side in zip(*pairs, strict=True))
    clip = jnp.arange(own, dtype=jnp.int32)[None, :, None]

    def program(memory: Memory) -> None:
        def pos(k: Array) -> Vec:
            return tuple(memory.rows(c, k) for c in range(9, 12))  # pyright: ignore

        def rot(k: Array) -> Mat:
            return tuple(memory.rows(c, k) for c in range(9))  # pyright: ignore

        def box(k: Array) -> Boxes:
            place = k * own + memory.rows(12, 0)
            found = [memory.look_up(c, place) for c in range(2, 8)]
            return Boxes(tuple(found[:3]), tuple(found[3:]))  # pyright: ignore

        def test(p: Array, words: tuple[Array, ...]) -> tuple[Array, ...]:
            a, b = memory.look_up(0, p), memory.look_up(1, p)
            near = _balls_meet((pos(a), pos(b)), (box(a), box(b)))

            def boxes(words: tuple[Array, ...]) -> tuple[Array, ...]:
                met = near & _meet(*between((rot(a), pos(a)), (rot(b), pos(b))), box(a), box(b))
                bit = jnp.where(met, 1, 0) << (p & (WORD - 1))
                return tuple(w | jnp.where(p >> 5 == k, bit, 0) for k, w in enumerate(words))

            # Most pairs are far apart on all frames of a block, and not worth turning a box for.
            return if_any(near, boxes, words)

        nothing = jnp.zeros_like(memory.rows(12, 0))
        words = jax.lax.fori_loop(0, len(pairs), test, (nothing,) * n_words)
        for k, word in enumerate(words):
            memory.store(0, k, word)

    arrays = (*links.rot, *links.pos, clip)
    tables = (first, second, *(c.reshape(-1) for c in jax.tree.leaves(links.boxes)))
    results = [(n_words, jnp.int32)]
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


def _balls_meet(pos: tuple[Vec, Vec], boxes: tuple[Boxes, Boxes]) -> Array:
    """Whether balls about the links' origins that hold their boxes do."""
    reach = [norm(box.centre) + norm(box.half) for box in boxes]
    way = sub(*pos)
    return dot(way, way) <= (reach[0] + reach[1]) ** 2


def _meet(turn: Mat, shift: Vec, a: Boxes, b: Boxes) -> Array:
    gap = sub(add(mat_vec(turn, b.centre), shift), a.centre)
    return boxes_meet(face_widths(turn, gap, a.half, b.half))
