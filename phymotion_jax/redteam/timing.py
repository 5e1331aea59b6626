"""Violations of time: too fast, too slow, not at all."""

import numpy as np
from jaxtyping import Float
from nanomanifold import SO3

from phymotion_jax.motion import Motion
from phymotion_jax.redteam.edits import FEWEST_FRAMES, ease, longest_run
from phymotion_jax.redteam.posing import lowest_height

_CLEAR_M = 0.05
"""A body whose lowest point is this far above the floor flies. One person's soles differ by nearly
as much in height where they were recovered from video."""

_SHORTEST_FLIGHT_S = 0.1
"""Less is noise, or the step of a jog."""

_RAMP_S = 0.15
"""Slow motion sets in during push-off and ends during landing, which take about as long."""


def freeze(motion: Motion, frame: int | None = None) -> Motion:
    """One frame held for the length of the clip: no violation, unless it is a frame of a flight.

    Args:
      motion: any clip.
      frame: which; by default the one in the middle. Negative ones count from the end.
    """
    held = motion.n_frames // 2 if frame is None else frame
    return motion.take(np.full(motion.n_frames, range(motion.n_frames)[held]))


def freeze_at(motion: Motion, share: float, seed: int = 0) -> Motion:
    """The frame held that stands at a share of the clip."""
    return freeze(motion, round(share * (motion.n_frames - 1)))


def too_fast(motion: Motion, factor: float, seed: int = 0) -> Motion:
    """The clip run faster by a factor: fewer frames at the same rate, three at least."""
    last = motion.n_frames - 1
    factor = min(factor, last / (FEWEST_FRAMES - 1))
    # A hair more than the quotient: 120 / 1.2 is 99.99999999999999.
    return resampled(motion, factor * np.arange(int(last / factor + 1e-9) + 1))


def slowed_jump(motion: Motion, factor: float, seed: int = 0) -> Motion:
    """The longest flight of a clip in slow motion, by a factor; all of a clip that has no flight.

    A body that flies in slow motion falls with 1 / factor² g. Push-off and landing lead in and out.
    """
    start, stop = flight(motion)
    frame = np.arange(motion.n_frames)
    outside = np.maximum(np.maximum(start - frame, frame - (stop - 1)), 0)
    slow = 1.0 + (factor - 1.0) * ease(1.0 - outside / (_RAMP_S * motion.fps))
    clock = np.concatenate([[0.0], np.cumsum(0.5 * (slow[1:] + slow[:-1]))])
    ticks = np.arange(int(clock[-1] + 1e-9) + 1)
    return resampled(motion, np.interp(ticks, clock, frame))


def flight(motion: Motion) -> tuple[int, int]:
    """First frame of the longest flight and the one after its last; of the clip if it has none.

    The floor is where the body's lowest point is, or is below, on a tenth of the frames.
    """
    low = lowest_height(motion)
    start, stop = longest_run(low > np.quantile(low, 0.1) + _CLEAR_M)
    if stop - start < max(_SHORTEST_FLIGHT_S * motion.fps, 2):
        return 0, motion.n_frames
    return start, stop


def resampled(motion: Motion, at: Float[np.ndarray, " N"]) -> Motion:
    """The clip at fractional frames.

    Positions and quaternions follow cubics that pass through every frame without a kink: with
    straight lines and slerps all change of speed would fall on the old frames, and slow motion
    would be a string of jerks.
    """
    pos = _cubic(motion.root_pos.astype(np.float64), at)
    quat = _cubic(_one_hemisphere(motion.joint_quat.astype(np.float64)), at)
    # Confidences are of single frames: those in between would be made up, and might leave [0, 1].
    nearest = np.clip(np.round(at).astype(int), 0, motion.n_frames - 1)
    return motion.take(nearest).replace(
        root_pos=pos.astype(np.float32), joint_quat=SO3.canonicalize(quat).astype(np.float32)
    )


def _one_hemisphere(quat: Float[np.ndarray, "T 24 4"]) -> Float[np.ndarray, "T 24 4"]:
    """The same rotations, each quaternion with the sign that is nearer to the one before."""
    turn = np.where((quat[1:] * quat[:-1]).sum(axis=-1, keepdims=True) < 0.0, -1.0, 1.0)
    return quat * np.concatenate([np.ones_like(turn[:1]), np.cumprod(turn, axis=0)])


def _cubic(values: Float[np.ndarray, "T ..."], at: Float[np.ndarray, " N"]):
    """Catmull-Rom splines at fractional indices; beyond both ends the values go on as a line."""
    ends = 2 * values[:1] - values[1:2], 2 * values[-1:] - values[-2:-1]
    padded = np.concatenate([ends[0], values, ends[1]])
    first = np.clip(np.floor(at).astype(int), 0, len(values) - 2)
    u = (at - first).reshape(-1, *[1] * (values.ndim - 1))
    a, b, c, d = (padded[first + k] for k in range(4))
    return b + 0.5 * u * (c - a + u * (2 * a - 5 * b + 4 * c - d + u * (3 * (b - c) + d - a)))
