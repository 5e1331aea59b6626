"""Joint angles, against scipy, and how far they are outside a range, against numpy."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from phymotion_jax.kernels.ranges import arm_twist, outside_range, swing_twist

N = 512  # one shape for all, so that each function is compiled once
ATOL = 3e-6  # radians: float32 roundings of angles up to pi
NEAR_HALF_TURN = 0.02  # cosine of half the swing: below it the twist loses digits, as it must
AXES = pytest.mark.parametrize("axis", range(3), ids="xyz")

angles_of = jax.jit(swing_twist, static_argnames="axis")


def columns(array: np.ndarray) -> Any:
    return tuple(jnp.asarray(c, jnp.float32)[None, None] for c in array.T)


def angles(rotation: Rotation, axis: int) -> np.ndarray:
    """Angles (N, 3) of scipy's rotations, padded to N so that one program serves all."""
    quat = rotation.as_quat(scalar_first=True)
    full = np.tile([1.0, 0.0, 0.0, 0.0], (N, 1))
    full[: len(quat)] = quat
    got = angles_of(columns(full), axis=axis)
    return np.stack([np.asarray(c)[0, 0] for c in got], axis=-1)[: len(quat)]


def along(axis: int, angle) -> Rotation:
    return Rotation.from_rotvec(np.outer(np.broadcast_to(angle, N), np.eye(3)[axis]))


def random_rotations(rng) -> Rotation:
    return Rotation.from_quat(rng.normal(size=(N, 4)))


def nearness(rotation: Rotation, axis: int) -> np.ndarray:
    """Cosine of half the swing: 0 where the bone points backwards along itself."""
    quat = rotation.as_quat(scalar_first=True)
    return np.hypot(quat[:, 0], quat[:, 1 + axis])


@AXES
def test_twist_then_swing_is_the_rotation(axis, rng):
    """Put together again by scipy, for any rotation; the swing has nothing along the bone."""
    rotation = random_rotations(rng)
    got = angles(rotation, axis)
    twist, swing = got.copy(), got.copy()
    twist[:, np.arange(3) != axis] = 0.0
    swing[:, axis] = 0.0
    again = Rotation.from_rotvec(swing) * Rotation.from_rotvec(twist)
    error = (again.inv() * rotation).magnitude()
    cosine = nearness(rotation, axis)
    assert (cosine > NEAR_HALF_TURN).mean() > 0.9
    # The twist is an angle between two components that are as small as the cosine.
    assert (error < 2.0 * ATOL / np.maximum(cosine, 1e-6))[cosine > NEAR_HALF_TURN].all()


@AXES
def test_swing_moves_the_bone_and_twist_does_not(axis, rng):
    """The swing alone takes the bone where the whole rotation takes it, the short way."""
    rotation = random_rotations(rng)
    swing = angles(rotation, axis)
    swing[:, axis] = 0.0
    bone = np.eye(3)[axis]
    away = np.maximum(nearness(rotation, axis), NEAR_HALF_TURN)[:, None]
    want = rotation.apply(bone)
    assert (np.abs(Rotation.from_rotvec(swing).apply(bone) - want) < 2.0 * ATOL / away).all()
    want = np.arccos(np.clip(want[:, axis], -1.0, 1.0))
    np.testing.assert_allclose(np.linalg.norm(swing, axis=1), want, atol=1e-3)


@AXES
def test_twist_is_the_nearest(axis, rng):
    """No turn about the bone's axis comes nearer to the rotation than its twist."""
    rotation = random_rotations(rng)
    twist = angles(rotation, axis)[:, axis]
    least = (along(axis, twist).inv() * rotation).magnitude()
    for angle in np.linspace(-np.pi, np.pi, 73):
        other = (along(axis, angle).inv() * rotation).magnitude()
        assert (least <= other + 10 * ATOL).all()


@AXES
@pytest.mark.parametrize("turned", range(3), ids="xyz")
def test_a_turn_about_one_axis_is_its_own_angle(axis, turned):
    """Whatever the bone, and at any magnitude below half a turn."""
    want = np.zeros((N, 3))
    want[:, turned] = np.linspace(-np.pi + 0.01, np.pi - 0.01, N)
    np.testing.assert_allclose(angles(along(turned, want[:, turned]), axis), want, atol=ATOL)


@AXES
def test_both_signs_are_one_rotation(axis, rng):
    rotation = random_rotations(rng)
    quat = rotation.as_quat(scalar_first=True)
    plus, minus = (np.stack(angles_of(columns(q), axis=axis)) for q in (quat, -quat))
    np.testing.assert_allclose(plus, minus, atol=ATOL)


@AXES
def test_half_a_turn_of_swing(axis, rng):
    """Any twist is as near as another there: none is chosen, and the swing is half a turn."""
    angle = rng.uniform(0.0, 2.0 * np.pi, N)
    vector = np.zeros((N, 3))
    vector[:, (axis + 1) % 3], vector[:, (axis + 2) % 3] = np.cos(angle), np.sin(angle)
    quat = np.c_[np.zeros(N), vector]
    got = np.stack(angles_of(columns(quat), axis=axis))[:, 0, 0].T
    assert (got[:, axis] == 0.0).all()
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), np.pi, atol=2 * ATOL)


@AXES
def test_gradient_is_finite_everywhere(axis, rng):
    """At rest, at half a turn about each axis, and in between."""

    @jax.jit
    @jax.grad
    def slope(quat):
        return sum(jnp.sum(c) for c in swing_twist(quat, axis))

    quat = random_rotations(rng).as_quat(scalar_first=True)
    quat[:4] = np.eye(4)
    got = np.stack(slope(columns(quat)))
    assert np.isfinite(got).all()
    # 2 by the components at rest, as the logarithm has
    np.testing.assert_allclose(got[1:, 0, 0, 0], 2.0, atol=10 * ATOL)


@pytest.mark.parametrize("hangs", [-90.0, 90.0], ids=["left", "right"])
def test_twist_from_hanging(hangs, rng):
    """A hanging arm is turned about itself, then raised by the shortest way, not across."""
    turn, raised = rng.uniform(-170.0, 170.0, N), rng.uniform(0.0, 180.0, N)
    way = rng.uniform(-np.pi, np.pi, N)
    level = np.stack([np.cos(way), np.zeros(N), np.sin(way)], axis=-1)
    lift = Rotation.from_rotvec(raised[:, None] * level, degrees=True)
    whole = lift * Rotation.from_euler("y", turn[:, None], degrees=True)
    whole = whole * Rotation.from_euler("z", hangs, degrees=True)
    quat = columns(whole.as_quat(scalar_first=True))
    got = np.degrees(arm_twist(quat, np.radians(np.full((1, 1, 1), hangs))))[0, 0]
    about_x = np.sign(hangs) * turn
    points = whole.apply([-np.sign(hangs), 0.0, 0.0])
    across = (-np.sign(hangs) * points[:, 0] < 0.0) & (about_x > 0.0)
    told, up = (raised < 130.0) & ~across, raised > 150.0
    assert told.sum() > 100 and across.sum() > 50
    np.testing.assert_allclose(got[told], about_x[told], atol=np.degrees(20 * ATOL))
    assert (got[up] == 0.0).all()
    assert (np.abs(got) <= np.abs(about_x) + 0.01)[~up].all()


@pytest.mark.parametrize("hangs", [-90.0, 90.0], ids=["left", "right"])
def test_an_arm_led_across_is_not_turned_inwards(hangs):
    """From straight ahead with the palm down on, horizontally: turned by a quarter, as it was."""
    ahead = np.linspace(0.0, 160.0, N)  # from the T-pose, forwards
    whole = Rotation.from_euler("y", np.sign(hangs) * ahead[:, None], degrees=True)
    quat = columns(whole.as_quat(scalar_first=True))
    got = np.degrees(arm_twist(quat, np.radians(np.full((1, 1, 1), hangs))))[0, 0]
    np.testing.assert_allclose(got, np.minimum(ahead, 90.0), atol=np.degrees(20 * ATOL))


def test_gradient_from_hanging_is_finite(rng):
    quat = random_rotations(rng).as_quat(scalar_first=True)
    quat[:4] = np.eye(4)
    hangs = np.full((1, 1, 1), -0.5 * np.pi)
    slope = jax.grad(lambda q: jnp.sum(arm_twist(q, hangs)))(columns(quat))
    assert np.isfinite(np.stack(slope)).all()


def test_excess_is_numpys(rng):
    """The largest of three, zero inside, whichever end is passed."""
    value = rng.uniform(-3.0, 3.0, (N, 3))
    low, high = np.array([-1.0, -0.5, -2.0]), np.array([2.0, 0.1, 0.3])
    got = outside_range(columns(value), *(tuple(map(jnp.asarray, v)) for v in (low, high)))  # pyright: ignore
    want = np.maximum(0.0, np.maximum(low - value, value - high)).max(axis=1)
    assert 0 < (want == 0.0).sum() < N
    np.testing.assert_allclose(np.asarray(got)[0, 0], want, atol=ATOL)
