"""Velocities and accelerations: against numpy, MuJoCo, and motions with a known derivative."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from phymotion_jax.kernels.differences import angular_rates, linear_rates, rates
from phymotion_jax.motion import MotionBatch
from phymotion_jax.state import joint_rates

FPS = np.array([16.0, 30.0, 120.0])  # one a clip
B, T = len(FPS), 40  # one shape for all, so that each function is compiled once
TIME = np.arange(T)[None] / FPS[:, None]
ALL = np.ones((B, T), bool)

ROUNDING = 4 * 2.0**-24
"""Of the largest position, times fps once for a velocity and twice for an acceleration: a float32
rounding of each of the positions that a difference is taken of, the middle one counting twice."""

ORDER_SLACK = 0.15
"""How far an observed order of convergence may lie from 2 at 60 to 240 fps: the next term."""

linear, angular = jax.jit(linear_rates), jax.jit(angular_rates)


def components(array: np.ndarray, dtype: type = np.float32) -> Any:
    """Components of (B, T, C), in the hot layout, of one item."""
    return tuple(jnp.asarray(array[None, ..., c], dtype) for c in range(array.shape[-1]))


def stacked(components) -> np.ndarray:
    """The reverse of `components`, in float64."""
    return np.stack([np.asarray(c, np.float64)[0] for c in components], axis=-1)


def fps_column(fps=FPS, dtype: type = np.float32):
    return jnp.asarray(fps, dtype)[:, None]


def slack(position, power: int) -> np.ndarray:
    """What rounding may do to the first (1) or second (2) derivative of positions (B, T, C)."""
    largest = np.abs(np.nan_to_num(position)).max(axis=(1, 2)) + 1.0
    return ROUNDING * (largest * FPS**power)[:, None, None]


def assert_within(got, want, atol):
    worst = np.abs(got - want) - atol
    assert (worst <= 0.0).all(), f"{worst.max()} over the tolerance"


def runs(mask_row):
    """First and one-past-last frame of each run of real frames."""
    edge = np.flatnonzero(np.diff(np.r_[0, mask_row.astype(int), 0]))
    return list(zip(edge[::2], edge[1::2], strict=True))


def numpy_rates(position, mask):
    """`np.gradient`, second order at the ends too, and second differences, run by run."""
    velocity, acceleration = np.zeros_like(position), np.zeros_like(position)
    for b in range(B):
        for start, stop in runs(mask[b]):
            piece = position[b, start:stop] * FPS[b]
            if stop - start >= 3:
                velocity[b, start:stop] = np.gradient(piece, axis=0, edge_order=2)
                second = np.diff(piece, 2, axis=0) * FPS[b]
                acceleration[b, start:stop] = np.pad(second, ((1, 1), (0, 0)), "edge")
            elif stop - start == 2:
                velocity[b, start:stop] = piece[1] - piece[0]
    return velocity, acceleration


MASKS = {
    "no padding": ALL,
    "padding": np.arange(T)[None] < np.array([[T], [17], [3]]),
    "runs of one and two": np.stack([np.isin(np.arange(T), k) for k in ([0], [4, 5], [T - 1])]),
    "holes": ~np.isin(np.arange(T), [0, 7, 8, 10, 12, 15, 16, 20, T - 1])[None] & ALL,
    "nothing": ~ALL,
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS.keys())
def test_points_are_numpys(mask, rng):
    """Any walk, any mask, three frame rates; what is masked holds NaN and is not read."""
    position = np.where(mask[..., None], 0.1 * rng.normal(size=(B, T, 3)).cumsum(axis=1), np.nan)
    velocity, acceleration = map(stacked, linear(components(position), mask, fps_column()))
    want = numpy_rates(np.nan_to_num(position), mask)
    assert_within(velocity, want[0], slack(position, 1))
    assert_within(acceleration, want[1], slack(position, 2))
    assert (velocity[~mask] == 0.0).all()
    assert (acceleration[~mask] == 0.0).all()


@pytest.mark.parametrize("mask", ["no padding", "padding", "holes"])
def test_throws_are_exact(mask, rng):
    """A quadratic has its own derivatives on every frame of a run of three, the ends too."""
    mask = MASKS[mask]
    p, v, a = rng.normal(size=(3, B, 1, 3))
    time = TIME[..., None]
    position = p + v * time + 0.5 * a * time**2
    velocity, acceleration = map(stacked, linear(components(position), mask, fps_column()))
    long = np.zeros_like(mask)
    for b in range(B):
        for start, stop in runs(mask[b]):
            long[b, start:stop] = stop - start >= 3
    assert long.any()
    long = long[..., None]
    assert_within(velocity, np.where(long, v + a * time, velocity), slack(position, 1))
    assert_within(acceleration, np.where(long, a, acceleration), slack(position, 2))


def test_steady_motion_has_no_false_start(rng):
    """At constant velocity the first and last frames feel no acceleration."""
    velocity = rng.normal(size=(B, 1, 3))
    position = velocity * TIME[..., None]
    got, acceleration = map(stacked, linear(components(position), ALL, fps_column()))
    assert_within(got, np.broadcast_to(velocity, position.shape), slack(position, 1))
    assert_within(acceleration, 0.0, slack(position, 2))


def test_a_clip_is_not_read_by_its_neighbour(rng):
    position = rng.normal(size=(B, T, 3))
    before = map(stacked, linear(components(position), ALL, fps_column()))
    position[1] = np.nan
    after = map(stacked, linear(components(position), ALL, fps_column()))
    for x, y in zip(before, after, strict=True):
        np.testing.assert_array_equal(x[[0, 2]], y[[0, 2]])
        assert np.isnan(y[1]).all()


def test_one_program_for_all_frame_rates_and_masks(rng):
    half = jnp.asarray(rng.normal(size=(B, T - 1)), jnp.float32)
    traced = jax.jit(chex.assert_max_traces(rates, n=1))
    for fps in (FPS, FPS + 1.0):
        for mask in MASKS.values():
            traced(half, mask, fps_column(fps))


def test_gradient_of_padding_is_zero(rng):
    """With padding at rest, as callers leave it, nothing comes back to it and nothing is NaN."""
    mask = MASKS["padding"]
    quat = Rotation.from_rotvec(rng.normal(size=(B * T, 3))).as_quat(scalar_first=True)
    quat = np.where(mask[..., None], quat.reshape(B, T, 4), [1.0, 0.0, 0.0, 0.0])

    def total(quat):
        vel, acc = angular_rates(quat, jnp.asarray(mask), fps_column())
        return sum(jnp.sum(v**2) + jnp.sum(a**2) for v, a in zip(vel, acc, strict=True))

    slope = stacked(jax.jit(jax.grad(total))(components(quat)))
    assert np.isfinite(slope).all()
    assert (slope[~mask] == 0.0).all()
    assert (np.abs(slope[mask]).max(axis=-1) > 0.0).all()


def wxyz(rotation: Rotation) -> np.ndarray:
    return rotation.as_quat(scalar_first=True).reshape(B, T, 4)


def test_steps_are_mujocos(rng):
    """Half-step rates are those of `mju_subQuat`, for turns of up to 170 degrees a frame.

    Both signs of each quaternion: MuJoCo, too, takes the short way round.
    """
    axis = rng.normal(size=(B * T, 3))
    axis *= rng.uniform(0.0, np.radians(170.0), (B * T, 1)) / np.linalg.norm(
        axis, axis=1, keepdims=True
    )
    quat = np.zeros((B, T, 4))
    for b in range(B):
        turn = Rotation.identity()
        for t in range(T):
            turn = turn * Rotation.from_rotvec(axis[b * T + t])
            quat[b, t] = turn.as_quat(scalar_first=True) * (-1.0) ** rng.integers(2)
    half = np.zeros((B, T - 1, 3))
    for b, t in np.ndindex(B, T - 1):
        subtract = mujoco.mju_subQuat  # pyright: ignore[reportAttributeAccessIssue]
        subtract(half[b, t], quat[b, t + 1], quat[b, t])
    half *= FPS[:, None, None]
    velocity, acceleration = map(stacked, angular(components(quat), ALL, fps_column()))
    # The sine of half an angle near a half turn tells the angle to a few roundings of its own.
    atol = 10 * ROUNDING * FPS[:, None, None]
    assert_within(velocity[:, 1:-1], 0.5 * (half[:, 1:] + half[:, :-1]), atol)
    difference = np.diff(half, axis=1) * FPS[:, None, None]
    assert_within(acceleration[:, 1:-1], difference, 2.0 * atol * FPS[:, None, None])


@pytest.mark.parametrize("turn", [0.0, 2.0], ids=["steady", "speeding up"])
def test_spin_about_a_fixed_axis(turn, rng):
    """A spin, steady or with constant acceleration, is exact on every frame, the ends too.

    Seen from the spinning body its axis does not move, though the body itself lies askew.
    """
    axis = rng.normal(size=3)
    axis /= np.linalg.norm(axis)
    angle = 3.0 * TIME + 0.5 * turn * TIME**2
    askew = Rotation.from_rotvec(rng.normal(size=3))
    spin = Rotation.from_rotvec(angle.reshape(-1, 1) * axis)
    velocity, acceleration = map(
        stacked, angular(components(wxyz(askew * spin)), ALL, fps_column())
    )
    whole = np.ones((B, T, 3))  # quaternions are at most 1
    assert_within(velocity, (3.0 + turn * TIME)[..., None] * axis, 4.0 * slack(whole, 1))
    assert_within(acceleration, np.broadcast_to(turn * axis, (B, T, 3)), 4.0 * slack(whole, 2))


def top(time):
    """A top that wobbles about z and turns about its own x; body-frame rates in closed form."""
    a, da, dda = np.sin(2.0 * time), 2.0 * np.cos(2.0 * time), -4.0 * np.sin(2.0 * time)
    b, db, ddb = 3.0 * time + time**2, 3.0 + 2.0 * time, 2.0 + 0.0 * time
    turn = Rotation.from_rotvec(np.outer(a, [0, 0, 1])) * Rotation.from_rotvec(
        np.outer(b, [1, 0, 0])
    )
    sine, cosine = np.sin(b), np.cos(b)
    velocity = np.stack([db, da * sine, da * cosine], axis=-1)
    acceleration = np.stack(
        [ddb, dda * sine + da * db * cosine, dda * cosine - da * db * sine], axis=-1
    )
    return turn.as_quat(scalar_first=True), velocity, acceleration


def wave(time):
    """A point on a helix that speeds up and slows down, with its derivatives."""
    terms = [(1.0, 5.0, 0.0), (0.5, 4.0, 1.0), (0.3, 3.0, 2.0)]
    derivatives = [
        np.stack([k * w**n * np.sin(w * time + p + n * np.pi / 2) for k, w, p in terms], axis=-1)
        for n in range(3)
    ]
    return tuple(derivatives)


MOTIONS = {"a point": (linear, wave), "a spinning top": (angular, top)}


@pytest.mark.parametrize("motion", MOTIONS)
@pytest.mark.parametrize("where", ["inside", "at the ends"])
def test_order_of_convergence(motion, where):
    """Twice the frame rate, a quarter of the error; the ends' accelerations, half of it.

    The acceleration at an end is the neighbour's, one frame away: first order, and none the worse
    for it where motion is smooth. In float64, so that only the method's own error is seen.
    """
    function, exact = MOTIONS[motion]
    errors = []
    with jax.enable_x64(True):
        for fps in (60.0, 120.0, 240.0):
            time = np.arange(T) / fps + 0.2
            value, velocity, acceleration = exact(time)
            rate, derivative = function(
                components(np.tile(value, (B, 1, 1)), np.float64),
                ALL,
                fps_column(np.full(B, fps), np.float64),
            )
            # Compared at the same moment, 0.15 s in, or on the first frame.
            frame = round(0.15 * fps) if where == "inside" else 0
            errors.append(
                [
                    np.linalg.norm(stacked(got)[0, frame] - want[frame])
                    for got, want in ((rate, velocity), (derivative, acceleration))
                ]
            )
    order = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    want = [2.0, 2.0 if where == "inside" else 1.0]
    np.testing.assert_allclose(order, np.broadcast_to(want, order.shape), atol=ORDER_SLACK)


def test_root_turns_too(rng):
    """Of a whole body: the pelvis' own spin is among the rates, and each joint has its own."""
    axes = rng.normal(size=(24, 3))
    quat = np.stack(
        [wxyz(Rotation.from_rotvec(np.outer(TIME.ravel(), axis))) for axis in axes], axis=2
    )
    batch = MotionBatch(
        root_pos=jnp.zeros((B, T, 3)),
        joint_quat=jnp.asarray(quat, jnp.float32),
        mask=jnp.asarray(ALL),
        fps=jnp.asarray(FPS, jnp.float32),
        betas=jnp.zeros((B, 10)),
        mass_kg=jnp.full(B, jnp.nan),
        static_conf=jnp.full((B, T, 6), jnp.nan),
    )
    motion = jax.jit(joint_rates)(batch)
    got = np.stack([np.asarray(c) for c in motion.ang_vel], axis=-1)
    want = np.broadcast_to(axes[:, None, None], got.shape)
    assert_within(got, want, 4.0 * slack(np.ones((B, T, 3)), 1)[None])
