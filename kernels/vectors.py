"""Vectors, matrices and quaternions as tuples of component arrays, the layout of the hot chain.

Each component is an array of shape ``(items, B, T)``: links, points or joints first, then clips,
frames last. XLA then sees nothing but long elementwise loops over contiguous frames, with no
component axis to shuffle: three times the speed of one stacked array on a GPU. Products are written
out, so that no matrix unit rounds them to TF32.
"""

from functools import partial, reduce
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from einops import rearrange
from jaxtyping import Array

from phymotion_jax.kernels.stored import stored

Vec = tuple[Array, Array, Array]
"""x, y, z."""

Quat = tuple[Array, Array, Array, Array]
"""w, x, y, z; a rotation has unit norm."""

Mat = tuple[Array, Array, Array, Array, Array, Array, Array, Array, Array]
"""A 3 x 3 matrix, row by row."""

Sym = tuple[Array, Array, Array, Array, Array, Array]
"""A symmetric 3 x 3 matrix: xx, yy, zz, xy, xz, yz."""

_Tree = TypeVar("_Tree")


def unstack(array: Array) -> Any:
    """Components of an array ``(B, items, C)`` or ``(items, C)``, as ``(items, B or 1, 1)``.

    A `Vec`, `Quat` or `Sym` by the length of the last axis, which no type can tell.
    """
    array = array[None] if array.ndim == 2 else array
    return tuple(rearrange(array[..., c], "b items -> items b 1") for c in range(array.shape[-1]))


def unstack_frames(array: Array) -> Any:
    """Components of an array ``(B, T, items, C)``, as ``(items, B, T)``."""
    # Turned by itself: in one with what reads it a GPU turns the axes back for each component.
    turned = stored(rearrange(array, "b t items c -> c items b t"))
    return tuple(turned)


def add(a: Vec, *others: Vec) -> Vec:
    """Sum of vectors."""
    for b in others:
        a = (a[0] + b[0], a[1] + b[1], a[2] + b[2])
    return a


def sub(a: Vec, b: Vec) -> Vec:
    """a - b."""
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


def scale(a: Vec, s: Array) -> Vec:
    """A vector times a scalar."""
    return a[0] * s, a[1] * s, a[2] * s


def dot(a: Vec, b: Vec) -> Array:
    """Scalar product."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def cross(a: Vec, b: Vec) -> Vec:
    """Vector product."""
    return (
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    )


def norm(a: tuple[Array, ...]) -> Array:
    """Length of a vector of any number of components, with a zero gradient where it is zero."""
    square = reduce(jnp.add, (c * c for c in a))
    zero = square == 0.0  # not `> 0`, which NaN fails: a NaN must not become a length of zero
    return jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, square)))


def select(condition: Array, a: _Tree, b: _Tree) -> _Tree:
    """a where the condition holds, else b: `jnp.where` of whole trees."""
    return jax.tree.map(partial(jnp.where, condition), a, b)


def mat_vec(m: Mat, v: Vec) -> Vec:
    """M v."""
    return (
        m[0] * v[0] + m[1] * v[1] + m[2] * v[2],
        m[3] * v[0] + m[4] * v[1] + m[5] * v[2],
        m[6] * v[0] + m[7] * v[1] + m[8] * v[2],
    )


def mat_t_vec(m: Mat, v: Vec) -> Vec:
    """Mᵀ v."""
    return (
        m[0] * v[0] + m[3] * v[1] + m[6] * v[2],
        m[1] * v[0] + m[4] * v[1] + m[7] * v[2],
        m[2] * v[0] + m[5] * v[1] + m[8] * v[2],
    )


def mat_mat(a: Mat, b: Mat) -> Mat:
    """A B."""
    rows = [a[0:3], a[3:6], a[6:9]]
    cols = [b[0::3], b[1::3], b[2::3]]
    flat = [r[0] * c[0] + r[1] * c[1] + r[2] * c[2] for r in rows for c in cols]
    return tuple(flat)  # pyright: ignore[reportReturnType]


def sym_vec(s: Sym, v: Vec) -> Vec:
    """S v for a symmetric S."""
    xx, yy, zz, xy, xz, yz = s
    return (
        xx * v[0] + xy * v[1] + xz * v[2],
        xy * v[0] + yy * v[1] + yz * v[2],
        xz * v[0] + yz * v[1] + zz * v[2],
    )


def quat_conj(q: Quat) -> Quat:
    """The reverse rotation."""
    return q[0], -q[1], -q[2], -q[3]


def quat_mul(a: Quat, b: Quat) -> Quat:
    """Rotation b, then a."""
    aw, ax, ay, az = a
    bw, bx, by, bz = b
    return (
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    )


def quat_rotate(q: Quat, v: Vec) -> Vec:
    """A vector turned by a unit quaternion."""
    way = q[1:]
    double = scale(cross(way, v), 2.0)  # pyright: ignore[reportArgumentType]
    return add(v, scale(double, q[0]), cross(way, double))


def quat_normalize(q: Quat) -> Quat:
    """The same direction with unit norm; a zero quaternion stays zero."""
    square = q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]
    inverse = jnp.where(square > 0.0, 1.0 / jnp.sqrt(jnp.where(square > 0.0, square, 1.0)), 0.0)
    return q[0] * inverse, q[1] * inverse, q[2] * inverse, q[3] * inverse


def quat_to_mat(q: Quat) -> Mat:
    """Rotation matrix of a unit quaternion."""
    w, x, y, z = q
    return (
        1.0 - 2.0 * (y * y + z * z),
        2.0 * (x * y - w * z),
        2.0 * (x * z + w * y),
        2.0 * (x * y + w * z),
        1.0 - 2.0 * (x * x + z * z),
        2.0 * (y * z - w * x),
        2.0 * (x * z - w * y),
        2.0 * (y * z + w * x),
        1.0 - 2.0 * (x * x + y * y),
    )


def quat_log(q: Quat) -> Vec:
    """Rotation vector in radians, the short way round; smooth through the identity.

    ``2 atan2(|v|, w) / |v|`` tends to 2 / w for small |v|; below 1e-4 rad the series is exact to
    float32, and the gradient of the unused branch stays finite.
    """
    sign = jnp.where(q[0] < 0.0, -1.0, 1.0)
    w, x, y, z = (c * sign for c in q)
    square = x * x + y * y + z * z
    small = square < 1e-8
    length = jnp.sqrt(jnp.where(small, 1.0, square))
    factor = jnp.where(small, 2.0, 2.0 * jnp.arctan2(length, w) / length)
    return x * factor, y * factor, z * factor


def quat_angle(q: Quat) -> Array:
    """Angle of a rotation in radians, from 0 to pi, with a zero gradient where it is zero."""
    return 2.0 * jnp.arctan2(norm(q[1:]), jnp.abs(q[0]))
