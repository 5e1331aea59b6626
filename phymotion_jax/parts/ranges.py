"""How far joints turn beyond their range of motion, and the links of a chain against each other."""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.body.limits import RangeChain
from phymotion_jax.kernels.ranges import arm_twist, outside_range, swing_twist
from phymotion_jax.kernels.tree import take_rows
from phymotion_jax.kernels.vectors import Quat, Vec, quat_angle, quat_mul, unstack
from phymotion_jax.state import State


def range_excess(state: State, humanoid: Humanoid) -> Float[Array, "R B T"]:
    """Angle of each anatomical joint beyond its range and margin, in radians."""
    angles = _angles(_chain_rotations(state.joints.quat, humanoid.ranges), humanoid.ranges)
    ends = (unstack(end) for end in (humanoid.range_low, humanoid.range_high))
    return outside_range(angles, *ends)  # pyright: ignore[reportArgumentType]


def _angles(turned: Quat, chains: Sequence[RangeChain]) -> Vec:
    """About x, y and z, in the order of the chains; those of one kind go together."""
    found, order = [], []
    for (axis, arm), rows in _grouped([(c.twist_axis, c.hangs != 0.0) for c in chains]):
        angles = swing_twist(_rows(turned, rows), axis)
        if arm:
            hangs = np.array([chains[row].hangs for row in rows])[:, None, None]
            angles = (arm_twist(_rows(turned, rows), hangs), *angles[1:])
        found.append(angles)
        order += rows
    joined = (jnp.concatenate(c) for c in zip(*found, strict=True))
    back = np.argsort(order).tolist()
    return tuple(take_rows(c, back) for c in joined)  # pyright: ignore[reportReturnType]


def fold(quat: Quat, chains: Sequence[RangeChain]) -> Float[Array, "R B T"]:
    """Angle by which the links of each chain turn against each other, in radians: what they turn
    one by one, less what the chain does. Zero where it is one link."""
    angle = quat_angle(quat)
    one_by_one = [jnp.sum(take_rows(angle, c.links), axis=0, keepdims=True) for c in chains]
    several = np.array([len(chain.links) > 1 for chain in chains])[:, None, None]
    less = jnp.concatenate(one_by_one) - quat_angle(_chain_rotations(quat, chains))
    return jnp.where(several, less, 0.0)


def _chain_rotations(quat: Quat, chains: Sequence[RangeChain]) -> Quat:
    """Rotation of the last link of each chain relative to the parent of the first, ``(R, B, T)``.

    Chains of one length go together: one by one they are a tenth of the whole program.
    """
    found, order = [], []
    for _, rows in _grouped([len(chain.links) for chain in chains]):
        steps = zip(*(chains[row].links for row in rows), strict=True)
        found.append(reduce(quat_mul, (_rows(quat, step) for step in steps)))
        order += rows
    joined = tuple(jnp.concatenate(c) for c in zip(*found, strict=True))
    return _rows(joined, np.argsort(order).tolist())


def _grouped(keys: Sequence[Any]) -> list[tuple[Any, list[int]]]:
    """Each key, in ascending order, and the places that have it."""
    return [(key, [k for k, own in enumerate(keys) if own == key]) for key in sorted(set(keys))]


def _rows(quat: tuple[Array, ...], rows: Sequence[int]) -> Quat:
    return tuple(take_rows(c, rows) for c in quat)  # pyright: ignore[reportReturnType]
