"""Violations of where the body is: its rotations stay, or follow so that the feet do."""

import numpy as np

from phymotion_jax.motion import Motion
from phymotion_jax.redteam.edits import (
    GRAVITY,
    UP,
    middle_half,
    moved,
    seconds,
    side_of,
    sideways,
)
from phymotion_jax.redteam.posing import with_feet

_BOUNCE_HZ = 4.0
"""Slow enough to survive a low-pass of 6 Hz and a rate of 16 fps, and all this within 0.25 m."""

_HOPS_APART_S = 0.6
"""From one take-off to the next: time for a flight of 0.4 m."""


def levitate(motion: Motion, speed: float, seed: int = 0) -> Motion:
    """The whole clip rises steadily, in m/s. A steady rise needs no force but the body's weight."""
    return moved(motion, speed * seconds(motion)[:, None] * UP)


def hover(motion: Motion, height: float, seed: int = 0) -> Motion:
    """The body rises by a height in metres, stays there, and comes down, within the middle half."""
    return moved(motion, height * middle_half(motion)[:, None] * UP)


def sink(motion: Motion, depth: float, seed: int = 0) -> Motion:
    """The body sinks into the floor by a depth in metres, and comes up, within the middle half."""
    return hover(motion, -depth)


def skate(motion: Motion, speed: float, seed: int = 0) -> Motion:
    """The whole clip drifts sideways, in m/s: to its left with an even seed, else to its right.

    The drift is steady, so that no force changes: only the feet give it away.
    """
    return moved(motion, speed * side_of(seed) * seconds(motion)[:, None] * sideways(motion))


def moonwalk(motion: Motion, share: float, seed: int = 0) -> Motion:
    """The pelvis' path along the floor is shrunk by a share of itself, while the legs step on.

    1 walks on the spot; 2 walks backwards while the legs step forwards.
    """
    path = motion.root_pos - motion.root_pos[0]
    return moved(motion, -share * path * (1.0 - UP))


def root_jitter(motion: Motion, spread: float, seed: int = 0) -> Motion:
    """White noise on the pelvis' position, of a standard deviation in metres on each axis."""
    rng = np.random.default_rng(seed)
    return moved(motion, spread * rng.standard_normal((motion.n_frames, 3)))


def teleport(motion: Motion, distance: float, seed: int = 0) -> Motion:
    """The body jumps along the floor by a distance in metres, between two neighbouring frames.

    When, in the middle half of the clip, and in which direction, the seed decides.
    """
    rng = np.random.default_rng(seed)
    last = motion.n_frames - 1
    frame = int(rng.integers(last // 4 + 1, 3 * last // 4 + 1))
    angle = rng.uniform(0.0, 2.0 * np.pi)
    after = (np.arange(motion.n_frames) >= frame)[:, None]
    return moved(motion, distance * after * np.array([np.cos(angle), np.sin(angle), 0.0]))


def float_walk(motion: Motion, lift: float, seed: int = 0) -> Motion:
    """Walking on air: in the middle half the feet step on, `lift` metres above where they stepped.

    The pelvis goes its way unchanged while hips and knees give way, so that the body's path has no
    fault: only nothing holds it up. Feet stay level, which may ask too much of the ankles.
    """
    return with_feet(motion, motion.root_pos.astype(np.float64), lift * middle_half(motion))


def stiff_hops(motion: Motion, height: float, seed: int = 0) -> Motion:
    """The whole body flies up by a height in metres and lands, again and again, as bodies fly.

    Its joints do what they did: no leg pushes it off, and none takes the landing up.
    """
    rise = np.sqrt(2.0 * height / GRAVITY)
    t = seconds(motion) % _HOPS_APART_S
    path = height - 0.5 * GRAVITY * (t - rise) ** 2
    return moved(motion, np.maximum(path, 0.0)[:, None] * UP)


def bounce(motion: Motion, peak: float, seed: int = 0) -> Motion:
    """The pelvis goes down and up at 4 Hz, with a peak acceleration in g, while the feet stay.

    Beyond 1 g the ground would have to pull the feet down. Feet stay flat, which may ask too much
    of the ankles.
    """
    rate = 2.0 * np.pi * _BOUNCE_HZ
    depth = peak * GRAVITY / rate**2 * (1.0 - np.cos(rate * seconds(motion)))
    return with_feet(motion, motion.root_pos - depth[:, None] * UP, np.zeros(motion.n_frames))
