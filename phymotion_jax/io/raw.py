"""What a file says of a clip, as it stands there: `Motion.from_smplx` does the checking."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from phymotion_jax.errors import MotionError, Status
from phymotion_jax.motion import UpAxis

KNOWN_KINDS = (
    "known are AMASS and SMPL-X .npz (poses or body_pose; trans or transl), "
    "gvhmr's .npz (world_body_pose), GVHMR's hmr4d_results.pt (smpl_params_global)"
)
"""Ends the message about a file of any other kind."""


@dataclass(frozen=True)
class RawClip:
    """SMPL-X parameters by `Motion.from_smplx`'s names, in the file's own world frame."""

    transl: np.ndarray
    global_orient: np.ndarray
    body_pose: np.ndarray
    betas: np.ndarray | None
    fps: float | None
    """None where the file does not say."""
    mass_kg: float | None
    up: UpAxis
    source: str


def one_body(field: str, betas: np.ndarray, n_frames: int) -> np.ndarray:
    """One row of shape coefficients: a row a frame is averaged, since a clip has one body."""
    if betas.ndim == 1:
        return betas
    if betas.dtype.kind in "fiu" and betas.ndim == 2 and len(betas) in {1, n_frames} - {0}:
        with np.errstate(all="ignore"):  # infinities in a damaged file; refused later by value
            return betas.astype(np.float64).mean(axis=0)
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
