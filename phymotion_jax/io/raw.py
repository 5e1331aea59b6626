"""What a file says of a clip, in its own frame: shapes are checked here, under the names that the
file has for them, and values in `Motion.from_smplx`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from phymotion_jax.errors import MotionError, Status
from phymotion_jax.world import UpAxis

KNOWN_KINDS = (
    "known are AMASS and SMPL-X .npz (poses or body_pose; trans or transl), "
    "gvhmr's .npz (world_body_pose), GVHMR's hmr4d_results.pt (smpl_params_global)"
)
"""Ends the message about a file of any other kind."""


@dataclass(frozen=True)
class RawClip:
    """SMPL-X parameters by `Motion.from_smplx`'s names, in the file's own world frame.

    Raises:
      MotionError: if the arrays differ in their number of frames.
    """

    transl: np.ndarray
    global_orient: np.ndarray
    body_pose: np.ndarray
    betas: np.ndarray | None
    fps: float | None
    """None where the file does not say."""
    mass_kg: float | None
    up: UpAxis
    source: str
    static_conf: np.ndarray | None = None
    """As in `Motion`; None where the file does not have it."""

    def __post_init__(self):
        """Compare lengths."""
        if not len(self.transl) == len(self.global_orient) == len(self.body_pose):
            raise MotionError(
                Status.BAD_SHAPE,
                f"{len(self.transl)} frames of translation, {len(self.global_orient)} of pelvis "
                f"rotation and {len(self.body_pose)} of body pose; one length was wanted",
            )


def as_rows(field: str, array: np.ndarray, widths: Sequence[int]) -> np.ndarray:
    """One row of numbers a frame; joints as a third axis are written out side by side."""
    rows = array
    if array.ndim == 3 and array.shape[2] == 3:
        rows = array.reshape(len(array), 3 * array.shape[1])
    if rows.ndim != 2 or rows.shape[1] not in widths or rows.dtype.kind not in "fiu":
        wanted = " or ".join(str(width) for width in widths)
        raise MotionError(
            Status.BAD_SHAPE,
            f"{field} is {array.shape} {array.dtype}, (frames, {wanted}) of numbers was wanted",
        )
    return rows


def one_body(field: str, betas: np.ndarray, n_frames: int) -> np.ndarray:
    """One row of shape coefficients: a row a frame is averaged, since a clip has one body."""
    rows = np.atleast_2d(betas)
    if betas.dtype.kind in "fiu" and rows.ndim == 2 and len(rows) in {1, n_frames} - {0}:
        with np.errstate(all="ignore"):  # infinities in a damaged file; refused later by value
            return rows.astype(np.float64).mean(axis=0)
    raise MotionError(
        Status.BAD_SHAPE,
        f"{field} is {betas.shape} {betas.dtype}, one row or {n_frames} rows of numbers "
        "were wanted",
    )


def listed(names: Iterable[str], most: int = 12) -> str:
    """Names from a file for a message: few, short, and without control characters."""
    names = sorted(names)
    shown = [name if name.isprintable() else ascii(name) for name in names[:most]]
    shown = [name if len(name) <= 40 else f"{name[:37]}..." for name in shown]
    if len(names) > most:
        shown.append(f"and {len(names) - most} more")
    return ", ".join(shown) or "nothing"
