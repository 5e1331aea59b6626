"""What a clip must be to be scored: every refusal names what was found and what was wanted."""

import numpy as np

from phymotion_jax.body.skeleton import N_BETAS, STATIC_JOINTS
from phymotion_jax.errors import MotionError, Status

BUCKETS = (128, 512, 2048, 8192, 32768)
"""Lengths that clips are padded to. Few, since each is a program to compile; the largest is
4.5 minutes at 120 fps."""

MIN_FRAMES = 3
"""An acceleration needs three positions."""

MAX_POSITION_M = 1e4
"""Out there float32 moves in steps of a millimetre."""

MAX_BETA = 6.0
"""Betas are standard deviations. From 7 on, some combinations are no bodies: links without mass."""

FPS_RANGE = (1.0, 2000.0)
"""Slower shows no motion, faster is no motion capture: generous bounds of this project."""

MASS_RANGE_KG = (1.0, 1000.0)
"""From a newborn to more than the heaviest man measured (635 kg)."""

MAX_HEIGHT_M = 20.0
"""A pelvis this high above, or below, the z = 0 of its clip is not given in metres: 93 is the
height of a standing pelvis in centimetres."""

MAX_MEAN_SPEED_M_S = 50.0
"""A pelvis that moves faster on average is not given in metres: a sprinter runs at 12, and what a
generator makes early in its training, half a metre of noise a frame, moves at 30 and is scored."""

MAX_ROTATION_VECTOR_RAD = 100.0
"""Rotation vectors of some turns are met; one of this length is in degrees, or damaged."""

MOSTLY = 0.5
"""Share of the frames. Of joints but the pelvis, which may have turned for long, rotation vectors
of more than a turn are met on some; on more than these they are in degrees."""

UNIT_NORM_SLACK = 0.1
"""Quaternions this far from unit norm are taken for rounding and normalised; others are refused."""


def bucket_length(n_frames: int) -> int:
    """The smallest bucket that holds `n_frames`."""
    require_length(n_frames, shortest=0)
    return next(b for b in BUCKETS if b >= n_frames)


def real_array(field: str, value) -> np.ndarray:
    """A float64 array of numbers."""
    try:
        array = np.asarray(value)
    except ValueError as error:  # rows of unequal length
        raise MotionError(Status.BAD_SHAPE, f"{field} is no array: {error}") from error
    if array.dtype.kind not in "fiu":
        raise MotionError(Status.BAD_SHAPE, f"{field} holds {array.dtype}, numbers were wanted")
    return array.astype(np.float64)


def require_shape(field: str, array: np.ndarray, want: tuple[int, ...]) -> None:
    """Refuse another shape."""
    if array.shape != want:
        raise MotionError(Status.BAD_SHAPE, f"{field} is {array.shape}, {want} was wanted")


def require_length(n_frames: int, shortest: int = MIN_FRAMES) -> None:
    """Refuse clips that are empty, too short or too long."""
    if n_frames == 0 and shortest:
        raise MotionError(Status.EMPTY, "no frames")
    if n_frames < shortest:
        raise MotionError(
            Status.TOO_SHORT, f"{n_frames} frames; an acceleration needs at least {shortest}"
        )
    if n_frames > BUCKETS[-1]:
        raise MotionError(
            Status.TOO_LONG, f"{n_frames} frames; at most {BUCKETS[-1]} go in one clip: cut it"
        )


def require_finite(field: str, array: np.ndarray) -> None:
    """Refuse NaN and infinity, naming the first bad frame."""
    bad = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
    if bad.any():
        first = int(np.argmax(bad))
        raise MotionError(
            Status.NOT_FINITE,
            f"{field} is not finite on {int(bad.sum())} of {len(array)} frames, first on {first}",
        )


def checked_fps(fps: float) -> float:
    """A frame rate in `FPS_RANGE`."""
    return _in_range("a frame rate", fps, FPS_RANGE, Status.BAD_FPS)


def checked_mass(mass_kg: float | None) -> float:
    """A mass in `MASS_RANGE_KG`, or NaN for none."""
    if mass_kg is None:
        return float("nan")
    return _in_range("mass_kg", mass_kg, MASS_RANGE_KG, Status.BAD_UNITS)


def _in_range(field: str, value: float, limits: tuple[float, float], status: Status) -> float:
    number = float(value)
    if not limits[0] <= number <= limits[1]:
        raise MotionError(
            status, f"{field} of {number:g}; {limits[0]:g} to {limits[1]:g} was wanted"
        )
    return number


def first_ten_betas(betas) -> np.ndarray:
    """Ten shape coefficients, zero where fewer are given."""
    if betas is None:
        return np.zeros(N_BETAS)
    values = real_array("betas", betas)
    if values.ndim != 1:
        raise MotionError(Status.BAD_SHAPE, f"betas is {values.shape}, one row was wanted")
    if not np.isfinite(values).all():
        raise MotionError(Status.NOT_FINITE, "betas is not finite")
    shape = np.zeros(N_BETAS)
    shape[: min(N_BETAS, len(values))] = values[:N_BETAS]
    require_bounded("betas", shape, MAX_BETA, "standard deviations")
    return shape


def checked_poses(global_orient, body_pose, length: int) -> np.ndarray:
    """Rotation vectors of pelvis and body joints as ``(T, 22, 3)``, finite and in radians."""
    pelvis = real_array("global_orient", global_orient)
    require_shape("global_orient", pelvis, (length, 3))
    body = real_array("body_pose", body_pose)
    if body.shape == (length, 21, 3):
        body = body.reshape(length, 63)
    require_shape("body_pose", body, (length, 63))
    poses = np.concatenate([pelvis, body], axis=1).reshape(length, 22, 3)
    require_finite("poses", poses)
    longest = float(np.abs(poses).max())
    if longest > MAX_ROTATION_VECTOR_RAD:
        raise MotionError(
            Status.BAD_ROTATION,
            f"a rotation vector of {longest:.3g} rad; radians under "
            f"{MAX_ROTATION_VECTOR_RAD:g} were wanted",
        )
    _require_radians(poses[:, 1:])
    return poses


def _require_radians(body: np.ndarray) -> None:
    """Refuse body joints that are turned by more than a turn most of the time."""
    longest = np.linalg.norm(body, axis=2).max(axis=1)
    frames = int(np.sum(longest > 2.0 * np.pi))
    if frames > MOSTLY * len(body):
        raise MotionError(
            Status.BAD_ROTATION,
            f"body_pose has rotation vectors of up to {longest.max():.3g}, longer than a turn "
            f"(6.28) on {frames} of {len(body)} frames; these look like degrees; radians were "
            "wanted",
        )


def checked_static_conf(static_conf, length: int) -> np.ndarray:
    """Probabilities ``(T, 6)``, NaN where nothing is known; all of it for None."""
    if static_conf is None:
        return np.full((length, len(STATIC_JOINTS)), np.nan)
    values = real_array("static_conf", static_conf)
    require_shape("static_conf", values, (length, len(STATIC_JOINTS)))
    wrong = values[(values < 0.0) | (values > 1.0)]
    if wrong.size:
        raise MotionError(
            Status.BAD_UNITS,
            f"static_conf holds {wrong[0]:.3g}; probabilities from 0 to 1 were wanted, or NaN",
        )
    return values


def require_bounded(field: str, array: np.ndarray, limit: float, unit: str) -> None:
    """Refuse values beyond what the unit can mean."""
    largest = float(np.abs(array).max())
    if largest > limit:
        raise MotionError(
            Status.BAD_UNITS,
            f"{field} goes up to {largest:.3g}; {unit} under {limit:g} were wanted",
        )


def require_metres(root_pos: np.ndarray, fps: float) -> None:
    """Refuse a pelvis whose height or speed says millimetres or centimetres, or that jumps."""
    height = float(np.mean(np.abs(root_pos[:, 2])))
    steps = np.linalg.norm(np.diff(root_pos, axis=0), axis=1)
    speed = float(np.mean(steps)) * fps
    if height <= MAX_HEIGHT_M and speed <= MAX_MEAN_SPEED_M_S:
        return
    _require_no_jump(steps, fps)
    raise MotionError(
        Status.BAD_UNITS,
        f"the pelvis is {height:.3g} m high and moves at {speed:.3g} m/s on average, at "
        f"{fps:g} frames a second; metres were wanted, these look like millimetres or "
        "centimetres",
    )


def _require_no_jump(steps: np.ndarray, fps: float) -> None:
    """Refuse a step, or one there and one back, that is most of the way, where the others are slow
    enough for metres."""
    frame = int(np.argmax(steps))
    others = np.delete(steps, [k for k in (frame, frame + 1) if k < len(steps)])
    slow = not len(others) or float(np.mean(others)) * fps <= MAX_MEAN_SPEED_M_S
    if 2.0 * np.sum(others) < np.sum(steps) and slow:
        raise MotionError(
            Status.BAD_UNITS,
            f"the pelvis jumps {steps[frame]:.3g} m between frames {frame} and {frame + 1}; at "
            f"most {MAX_MEAN_SPEED_M_S:g} m/s on average and {MAX_HEIGHT_M:g} m of height were "
            "wanted",
        )
