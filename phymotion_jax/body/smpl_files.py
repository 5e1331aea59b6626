"""SMPL, SMPL-H and SMPL-X from the user's own `.npz`, brought to the 24 links.

Nothing is unpickled. Files have SMPL's names: `v_template`, `shapedirs`, `posedirs`, `J_regressor`,
`weights`, `kintree_table`, `f`. A converted file (`write_smpl`) has them too, with 24 joints.
"""

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from jaxtyping import Float, Integer

from phymotion_jax.body.skeleton import N_BETAS, N_BODIES, PARENTS, body_index
from phymotion_jax.body.surface_arrays import SurfaceArrays
from phymotion_jax.errors import ModelError, MotionError
from phymotion_jax.io.archive import open_zip, read_member
from phymotion_jax.io.npy import parse_npy
from phymotion_jax.io.raw import listed

_HEAD, _LEFT, _RIGHT = (body_index(name) for name in ("head", "left_hand", "right_hand"))
_BODY = tuple(range(22))

OWNERS = {
    24: tuple(range(N_BODIES)),
    52: _BODY + 15 * (_LEFT,) + 15 * (_RIGHT,),
    55: _BODY + 3 * (_HEAD,) + 15 * (_LEFT,) + 15 * (_RIGHT,),
}
"""By the number of joints (SMPL, SMPL-H, SMPL-X): the link that each joint moves with. Jaw and eyes
are of the head; fingers are of the hand and rest straight, as the models have them."""

_KNUCKLES = {24: (22, 23), 52: (25, 40), 55: (28, 43)}
"""Where the hands' joints lie: SMPL's own, or those of the middle fingers, as in `template`."""

_BODY_FEATURES = 9 * 21
"""Pose correctives of the body's joints. Those of face and fingers, which rest, are zero."""


@dataclass(frozen=True)
class SmplArrays:
    """The arrays of a model under their names in the file, K joints, in metres."""

    v_template: Float[np.ndarray, "V 3"]
    """Vertices of the mean body."""

    shapedirs: Float[np.ndarray, "V 3 S"]
    """Their change a unit of each beta; the first ten count."""

    posedirs: Float[np.ndarray, "V 3 P"]
    """Their change a unit of each element of the joints' local rotations; P may be 0."""

    J_regressor: Float[np.ndarray, "K V"]
    """Joints from vertices."""

    weights: Float[np.ndarray, "V K"]
    """How much each joint moves each vertex."""

    kintree_table: Integer[np.ndarray, "2 K"]
    """The joints' parents, in its first row."""

    f: Integer[np.ndarray, "N 3"]
    """Vertices of each triangle."""

    def __post_init__(self):
        """Refuse arrays that do not fit each other, or joints that are not SMPL's."""
        _require_shapes(self)
        _require_tree(self)
        _require_values(self)


_FIELDS = tuple(SmplArrays.__dataclass_fields__)


def read_smpl(path: str | PathLike[str]) -> SmplArrays:
    """The arrays of a model's `.npz`. Others are not looked at; pose correctives may be missing.

    Raises:
      ModelError: if one is missing, pickled, damaged, or not of such a model.
    """
    try:
        with open_zip(path) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist()}
            if missing := sorted(set(_FIELDS) - {"posedirs"} - names):
                raise ModelError(f"no {', '.join(missing)} in it; it holds {listed(names)}")
            found = [name for name in _FIELDS if name in names]
            arrays = {name: parse_npy(name, read_member(archive, f"{name}.npy")) for name in found}
            no_correctives = np.zeros((*arrays["v_template"].shape, 0), np.float32)
            return SmplArrays(**({"posedirs": no_correctives} | arrays))
    except (MotionError, ModelError) as error:
        raise ModelError(f"{path} is no body model that can be read: {error}") from error


def write_smpl(path: Path, model: SmplArrays) -> None:
    """Write a model brought to the 24 links, in float32, under the same names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    small = to_links(model)
    fields = {name: getattr(small, name) for name in _FIELDS}
    single = {k: v.astype(np.float32) for k, v in fields.items() if v.dtype.kind == "f"}
    partial = path.with_name(f".{path.name}.part.npz")
    np.savez(partial, **(fields | single))  # pyright: ignore[reportArgumentType]
    partial.replace(path)


def to_links(model: SmplArrays) -> SmplArrays:
    """The same model with the 24 links for joints, the others at rest, and ten betas.

    Exact for straight fingers and a face at rest.
    """
    count = len(model.J_regressor)
    weights = np.zeros((len(model.v_template), N_BODIES), model.weights.dtype)
    np.add.at(weights.T, np.array(OWNERS[count]), model.weights.T)
    rows = [*_BODY, *_KNUCKLES[count]]
    features = model.posedirs.shape[-1] if count == N_BODIES else _BODY_FEATURES
    return SmplArrays(
        v_template=model.v_template,
        shapedirs=model.shapedirs[..., :N_BETAS],
        posedirs=model.posedirs[..., :features],
        J_regressor=model.J_regressor[rows],
        weights=weights,
        kintree_table=np.stack([np.array(PARENTS), np.arange(N_BODIES)]).astype(np.int32),
        f=model.f,
    )


def surface_arrays(model: SmplArrays) -> SurfaceArrays:
    """The model as a space of surfaces. Its regressor is applied once, in float64."""
    small = to_links(model)
    regressor = small.J_regressor.astype(np.float64)
    return SurfaceArrays(
        vertex_mean=small.v_template.astype(np.float64),
        vertex_dirs=small.shapedirs.astype(np.float64),
        pose_dirs=small.posedirs,
        joint_mean=regressor @ small.v_template,
        joint_dirs=np.einsum("lv,vck->lck", regressor, small.shapedirs, optimize=True),
        weights=small.weights.astype(np.float64),
        faces=small.f.astype(np.int64),
    )


def _require_shapes(model: SmplArrays) -> None:
    joints, vertices = model.J_regressor.shape if model.J_regressor.ndim == 2 else (0, 0)
    if joints not in OWNERS:
        raise ModelError(
            f"J_regressor is {model.J_regressor.shape}; SMPL has 24 joints, SMPL-H 52, SMPL-X 55"
        )
    betas, features = (x.shape[-1] if x.ndim else 0 for x in (model.shapedirs, model.posedirs))
    accepted = (0, _BODY_FEATURES)
    wanted = {
        "v_template": (vertices, 3),
        "shapedirs": (vertices, 3, max(N_BETAS, betas)),
        "posedirs": (vertices, 3, features if features in accepted else 9 * (joints - 1)),
        "weights": (vertices, joints),
        "kintree_table": (2, joints),
        "f": (*model.f.shape[:1], 3),
    }
    for name, shape in wanted.items():
        if getattr(model, name).shape != shape:
            raise ModelError(f"{name} is {getattr(model, name).shape}, {shape} was wanted")


def _require_tree(model: SmplArrays) -> None:
    owners = OWNERS[len(model.J_regressor)]
    above = np.asarray(model.kintree_table[0], np.int64)
    for joint, owner in enumerate(owners[1:], start=1):
        parent = owners[above[joint]] if 0 <= above[joint] < joint else -1
        if parent not in (owner, PARENTS[owner]):
            raise ModelError(f"joint {joint} hangs on {above[joint]}; SMPL's tree was wanted")


def _require_values(model: SmplArrays) -> None:
    for name in ("v_template", "shapedirs", "posedirs", "J_regressor", "weights"):
        array = getattr(model, name)
        if array.dtype.kind != "f" or not np.all(np.isfinite(array)):
            raise ModelError(f"{name} holds other things than finite numbers")
    vertices, faces = len(model.v_template), model.f
    if faces.dtype.kind not in "iu" or np.any((faces < 0) | (faces >= vertices)):
        raise ModelError(f"f names vertices that are not among the {vertices}")
    if np.any(model.weights < -1e-6) or np.any(np.abs(model.weights.sum(axis=1) - 1.0) > 1e-3):
        raise ModelError("weights of a vertex do not add up to one")
