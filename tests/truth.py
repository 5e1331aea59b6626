"""Motions simulated in C MuJoCo, with the forces of the floor and of the joints beside them."""

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float
from scipy.interpolate import BPoly
from scipy.ndimage import binary_erosion

from phymotion_jax.assets.choreography import (
    Solver,
    axis_quat,
    centre_over,
    ease,
    product,
    standing,
    times,
)
from phymotion_jax.assets.make_demo_clips import fall, squat
from phymotion_jax.assets.simulate import Puppet, Recording, follow, topple
from phymotion_jax.kernels.filters import low_pass
from phymotion_jax.motion import Motion

FPS = 60
G = 9.81
AROUND = round(0.2 * FPS)
"""Frames in the period of a cut-off of 5 Hz, over which the filter spreads what happens on one."""

TOUCHES_BW, IMPACT_BW = 0.02, 3.0
"""Of the floor on the whole body: something touches, and something hits it."""

Knot = tuple[float, tuple[float, float, float]]
"""Time, and height, speed and acceleration of a centre of mass at it."""


def drop(puppet: Puppet) -> Recording:
    """Let go with the soles 0.2 m over the floor; lands on soft knees and stands up."""
    height = 0.2
    fallen = np.sqrt(2.0 * height / G)
    knots: list[Knot] = [(0.0, (height, 0.0, -G)), (fallen, (0.0, -G * fallen, -G))]
    return _up_and_down(puppet, knots, flights=[(-fallen, fallen)])


def bounce(puppet: Puppet) -> Recording:
    """Let go at the top of a hop, hops twice more on both feet, in the air for 0.18 s, stands."""
    flight, contact = 0.18, 0.4
    fast = 0.5 * G * flight
    t = 0.5 * flight
    knots: list[Knot] = [(0.0, (0.5 * fast**2 / G, 0.0, -G))]
    flights = [(-t, t)]
    for _ in range(2):
        knots += [(t, (0.0, -fast, -G)), (t + contact, (0.0, fast, -G))]
        flights.append((t + contact, t + contact + flight))
        t += contact + flight
    return _up_and_down(puppet, [*knots, (t, (0.0, -fast, -G))], flights)


def _up_and_down(
    puppet: Puppet, knots: list[Knot], flights: list[tuple[float, float]]
) -> Recording:
    """Over both feet, along quintics between knots, to end in standing."""
    landed = knots[-1][0]
    still = (0.0, 0.0, 0.0)
    knots = [*knots, (landed + 0.6, still), (landed + 1.6, still)]
    t = times(knots[-1][0])
    height = BPoly.from_derivatives(*zip(*knots, strict=True))(t)
    ball, stance = np.zeros((len(t), 2, 3)), np.ones((len(t), 2), bool)
    for start, stop in flights:
        s = np.clip((t - start) / (stop - start), 0.0, 1.0)
        # As high as the body in the middle; without speed where they leave the floor and meet it.
        ball[:, :, 2] += (2.0 * G * (stop - start) ** 2 * (s * (1.0 - s)) ** 2)[:, None]
        stance[(t >= start) & (t < stop)] = False
    com = np.stack([np.zeros_like(t), np.zeros_like(t), height - 0.05], axis=1)
    depth = np.maximum(-height / 0.3, 0.0) ** 2  # squared: no turning where the floor is left
    score = standing(t, com=com, ball=ball, stance=stance, lean=0.5 * depth, bend=0.3 * depth)
    return follow(puppet, Solver(puppet).plan(score), settle_s=0.0)


def stepping(puppet: Puppet) -> Recording:
    """Two steps in place: the body shifts over one foot and lifts the other for 0.7 s."""
    solver = Solver(puppet)
    single, double, first = 0.7, 0.45, 1.0
    middle = [solver.middle_of_sole(side) for side in (0, 1)]
    between = np.mean(middle, axis=0)
    t = times(first + 2 * (single + double) + 0.6)
    ball, stance = np.zeros((len(t), 2, 3)), np.ones((len(t), 2), bool)
    pressure = [(0.0, between), (0.6, between)]  # where the ground should push: (time, place)
    for side in (0, 1):
        start = first + side * (single + double)
        stop = start + single
        pressure += [(start - 0.03, middle[1 - side]), (stop + 0.03, middle[1 - side])]
        ball[:, side, 2] += ease(t, (start, 0.0), (start + 0.5 * single, 0.15), (stop, 0.0))
        stance[(t >= start) & (t < stop), side] = False
    pressure.append((pressure[-1][0] + double, between))
    level = centre_over(t, pressure, solver.com0[2] - 0.03) - solver.com0[:2]
    com = np.c_[level, ease(t, (0.2, 0.0), (0.9, -0.03))]
    return follow(puppet, solver.plan(standing(t, com=com, ball=ball, stance=stance)))


def fall_forwards(puppet: Puppet) -> Recording:
    """A push, on knees and hands. No control: joints are damped springs."""
    solver = Solver(puppet)
    first = solver.start
    last = solver.posture(0.0, 0.0, np.tile((1.5, 0.4, 0.3), (2, 1)))
    last[:7] = first[:7]

    def bend(joint: str, *turns: tuple[str, float]) -> None:
        at = puppet.model.joint(joint).qposadr[0]
        last[at : at + 4] = product(*(axis_quat(*turn) for turn in turns))

    for side, out in (("left", 0.2), ("right", -0.2)):
        bend(f"{side}_hip", ("z", out), ("x", -0.9))
        bend(f"{side}_knee", ("x", 1.2))
        bend(f"{side}_ankle", ("x", 0.3))
    push = np.zeros(puppet.model.nv)
    push[0] = 0.4
    return topple(puppet, first, last, push, seconds=2.3)


SCENES: dict[str, Callable[[Puppet], Recording]] = {
    "drop": drop,
    "bounce": bounce,
    "squat": squat,
    "stepping": stepping,
    "fall": fall,
    "fall_forwards": fall_forwards,
}


@dataclass(frozen=True)
class Truth:
    """What the simulator did, through the filter that the motion goes through. A row a frame.

    Forces are in body weights, moments and torques in body weights times metres and N·m a kilogram.
    """

    force: Float[np.ndarray, "T 3 3"]
    """Of the floor on the left foot, the right foot and the rest."""
    moment: Float[np.ndarray, "T 3 3"]
    """Of the same about the world's origin."""
    torque: Float[np.ndarray, "T 24 3"]
    """Across each joint, in its link's own axes."""
    inner: Bool[np.ndarray, " T"]
    """Frames that are `AROUND` from both ends."""
    airborne: Bool[np.ndarray, " T"]
    """Frames on which nothing touched. Not filtered."""
    steady: Bool[np.ndarray, " T"]
    """Something touched, and nothing hit the floor, on all frames `AROUND` this one."""
    alone: Bool[np.ndarray, "T 2"]
    """Steady, and the other foot touched on none of them."""


def truth_of(recording: Recording, mass_kg: float, cutoff_hz: float) -> Truth:
    """Filter a recording, and tell which of its frames are steady."""
    weight = mass_kg * G
    up = recording.force[..., 2] / weight
    total = up.sum(axis=1)
    steady = _all_around((total > TOUCHES_BW) & (total < IMPACT_BW))
    free = [steady & _all_around(up[:, 1 - side] < TOUCHES_BW) for side in (0, 1)]
    return Truth(
        _filtered(recording.force / weight, cutoff_hz),
        _filtered(recording.moment / weight, cutoff_hz),
        _filtered(recording.torque / mass_kg, cutoff_hz),
        _all_around(np.ones(len(total), bool)),
        total < TOUCHES_BW,
        steady,
        np.stack(free, axis=1),
    )


def pressure_centre(force: np.ndarray, moment: np.ndarray) -> np.ndarray:
    """Where on the floor, (x, y), forces with this moment about the origin act."""
    return np.stack([-moment[..., 1], moment[..., 0]], axis=-1) / force[..., 2:]


def to_motion(puppet: Puppet, recording: Recording, name: str) -> Motion:
    """What was simulated, as a clip of the mean body."""
    address = np.array([3, *puppet.qpos_address[1:]])
    return Motion(
        root_pos=recording.qpos[:, :3].astype(np.float32),
        joint_quat=recording.qpos[:, address[:, None] + np.arange(4)].astype(np.float32),
        static_conf=np.full((len(recording.qpos), 6), np.nan, np.float32),
        betas=np.zeros(10, np.float32),
        fps=puppet.fps,
        name=name,
    )


def _all_around(frames: np.ndarray) -> np.ndarray:
    """Frames with only such frames `AROUND` them; none at the ends."""
    return binary_erosion(frames, np.ones(2 * AROUND + 1))


def _filtered(values: np.ndarray, cutoff_hz: float) -> np.ndarray:
    rows = jnp.asarray(values.reshape(len(values), -1).T[:, None], jnp.float32)
    mask, fps = jnp.ones((1, len(values)), bool), jnp.full((1, 1), float(FPS))
    return np.asarray(low_pass(rows, mask, fps, cutoff_hz))[:, 0].T.reshape(values.shape)
