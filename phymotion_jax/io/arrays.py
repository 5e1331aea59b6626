"""A clip from named arrays, as AMASS, SMPL-X and the newer `gvhmr` package call them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from phymotion_jax.errors import MotionError, Status
from phymotion_jax.io.raw import KNOWN_KINDS, RawClip, as_rows, listed, one_body
from phymotion_jax.world import UpAxis

FPS_NAMES = ("mocap_framerate", "mocap_frame_rate", "fps")
"""Spellings of the frame rate: AMASS's SMPL-H releases, its SMPL-X releases, and everybody else."""
_MASS_NAME = "mass_kg"

_POSES_WIDTHS = (66, 72, 156, 165)
"""Columns of `poses`: body, SMPL, SMPL-H, SMPL-X. All begin with the pelvis and 21 body joints."""
_BODY_WIDTHS = (63, 69)
"""Columns of a body pose: SMPL-X, and SMPL with its two hand joints, which come last."""


class Arrays(Protocol):
    """What a file holds by name, read when asked for."""

    @property
    def names(self) -> Collection[str]:
        """All there are."""
        ...

    def array(self, name: str) -> np.ndarray:
        """The array of that name, or MotionError where it holds no numbers."""
        ...


@dataclass(frozen=True)
class _Spelling:
    """What a kind of file calls things; the first name that is there counts."""

    transl: tuple[str, ...]
    global_orient: tuple[str, ...]
    body_pose: tuple[str, ...]
    betas: str
    up: UpAxis
    source: str

    @property
    def names(self) -> set[str]:
        return {*self.transl, *self.global_orient, *self.body_pose, self.betas}


_SMPLX = _Spelling(
    transl=("trans", "transl"),
    global_orient=("root_orient", "global_orient"),
    body_pose=("pose_body", "body_pose"),
    betas="betas",
    up="z",
    source="smplx",
)
_GVHMR = _Spelling(  # MotionResult.save_npz of gvhmr 1.6
    transl=("world_transl",),
    global_orient=("world_global_orient",),
    body_pose=("world_body_pose",),
    betas="world_betas",
    up="y",
    source="gvhmr",
)

KNOWN_NAMES = {"poses", *_SMPLX.names, *_GVHMR.names, *FPS_NAMES, _MASS_NAME}
"""All that is ever looked at."""


def read_arrays(file: Arrays, *, kind: str, need_fps: bool, need_mass: bool) -> RawClip:
    """Take a clip from named arrays.

    The `world_*` arrays of `gvhmr` are y up, all others z up: that is how AMASS and SMPL-X files
    are, which have no field for it. Betas that come a row a frame are averaged.

    Args:
      file: the arrays.
      kind: of file, for `RawClip.source`.
      need_fps: whether to read the frame rate; one given by the caller makes it irrelevant.
      need_mass: the same for the mass.
    """
    spelling = _GVHMR if "world_body_pose" in file.names else _SMPLX
    transl = _rows(file, spelling.transl, (3,))
    global_orient, body_pose = _rotations(file, spelling)
    betas = file.array(spelling.betas) if spelling.betas in file.names else None
    return RawClip(
        transl=transl,
        global_orient=global_orient,
        body_pose=body_pose,
        betas=None if betas is None else one_body(spelling.betas, betas, len(transl)),
        fps=_frame_rate(file) if need_fps else None,
        mass_kg=_number(file, _MASS_NAME) if need_mass else None,
        up=spelling.up,
        source=f"{spelling.source}-{kind}",
    )


def _first(file: Arrays, names: Sequence[str]) -> str | None:
    """The first of `names` that is there."""
    return next((name for name in names if name in file.names), None)


def _frame_rate(file: Arrays) -> float | None:
    """The one that all names which are there give, but for the digits of single precision."""
    found = [(name, _number(file, name)) for name in FPS_NAMES if name in file.names]
    rates = [rate for _, rate in found]
    if found and not np.allclose(rates, rates[0], rtol=1e-6, atol=0.0, equal_nan=True):
        told = " and ".join(f"{name} of {rate:g}" for name, rate in found)
        raise MotionError(Status.BAD_FPS, f"{told}; one was wanted, or --fps (in Python fps=)")
    return rates[0] if found else None


def _number(file: Arrays, name: str) -> float | None:
    """The one number of that name; None where it is not there."""
    if name not in file.names:
        return None
    value = file.array(name)
    if value.size != 1 or value.dtype.kind not in "fiu":
        found = f"{value.shape} {value.dtype}"
        raise MotionError(Status.BAD_SHAPE, f"{name} is {found}, one number was wanted")
    return float(value.reshape(-1)[0])


def _rotations(file: Arrays, spelling: _Spelling) -> tuple[np.ndarray, np.ndarray]:
    """Rotation vectors of the pelvis, and of the 21 body joints."""
    if spelling is _SMPLX and ("poses" in file.names or _first(file, spelling.body_pose) is None):
        poses = _rows(file, ("poses", *spelling.body_pose), _POSES_WIDTHS)
        return poses[:, :3], poses[:, 3:66]
    global_orient = _rows(file, spelling.global_orient, (3,))
    return global_orient, _rows(file, spelling.body_pose, _BODY_WIDTHS)[:, :63]


def _rows(file: Arrays, names: Sequence[str], widths: Sequence[int]) -> np.ndarray:
    """The array under the first of `names` that is there, with one row a frame."""
    name = _first(file, names)
    if name is None:
        raise MotionError(
            Status.UNREADABLE,
            f"no {' or '.join(names)} in it; it holds {listed(file.names)}; {KNOWN_KINDS}",
        )
    return as_rows(name, file.array(name), widths)
