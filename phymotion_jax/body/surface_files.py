"""Bodies with a surface by name or by file, and where files are looked for."""

import os
from functools import lru_cache
from pathlib import Path

from phymotion_jax.body.mannequin_surface import mannequin_surface
from phymotion_jax.body.smpl_files import read_smpl, surface_arrays
from phymotion_jax.body.surface import SurfaceModel
from phymotion_jax.body.surface_build import build_surface
from phymotion_jax.errors import BodyNotFoundError, ModelError, UnknownNameError

FOLDERS_VARIABLE = "PHYMOTION_BODY_MODELS"
"""Environment variable: folders with body models, separated as in PATH."""

_FAMILIES = ("smplx", "smplh", "smpl")
BODIES = (
    "mannequin",
    *(f"{family}-{sex}" for family in _FAMILIES for sex in ("neutral", "female", "male")),
)
"""What a body can be called. The mannequin ships with a dependency; the others are the user's."""


def load_surface(body: str | os.PathLike[str] = "mannequin") -> SurfaceModel:
    """A body with a surface.

    Args:
      body: one of `BODIES`, or a file of SMPL, SMPL-H or SMPL-X: the model's own `.npz`, or one
        that ``phymotion-jax convert-body`` wrote. By name, smplx-neutral say, files are looked for
        in the folders of PHYMOTION_BODY_MODELS, then in ~/.cache/phymotion-jax/bodies; in each as
        smplx-neutral.npz, SMPLX_NEUTRAL.npz and smplx/SMPLX_NEUTRAL.npz.

    Raises:
      BodyNotFoundError: if there is none, saying where was looked.
      ModelError: if the file cannot be read as such a model.
      UnknownNameError: if it is neither a name nor a path.
    """
    if body == "mannequin":
        return mannequin_surface()
    if isinstance(body, str) and body in BODIES:
        path = find_body(body)
    elif isinstance(body, os.PathLike) or Path(body).suffix or os.sep in body:
        path = Path(body)
        if not path.is_file():
            raise BodyNotFoundError(f"there is no {path}")
    else:
        raise UnknownNameError("body", body, BODIES)
    if path.suffix != ".npz":
        raise ModelError(f"{path} is not an .npz; {_how_to_convert(path)}")
    return _load(str(path.resolve()), path.stat().st_mtime_ns)


def find_body(name: str) -> Path:
    """The first file of that name in the folders that are searched.

    Raises:
      BodyNotFoundError: listing the places.
    """
    places = [folder / file for folder in body_folders() for file in _file_names(name)]
    for place in places:
        if place.is_file():
            return place
    pickles = (place.with_suffix(".pkl") for place in places)
    found = next((pickle for pickle in pickles if pickle.is_file()), None)
    raise BodyNotFoundError(
        f"no body {name}: looked for {', '.join(map(str, places))}; "
        + (
            f"there is {found}, a pickle; {_how_to_convert(found)}"
            if found
            else f"name a file, or set {FOLDERS_VARIABLE} to the folder of your licensed models"
        )
    )


def body_folders() -> list[Path]:
    """Folders that are searched, in order."""
    given = os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep)
    return [*(Path(folder).expanduser() for folder in given if folder), cache_folder()]


def cache_folder() -> Path:
    """Where converted bodies are kept by default."""
    home = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(home) / "phymotion-jax" / "bodies"


def _file_names(name: str) -> tuple[str, ...]:
    """Ours, and those under which the models are published."""
    official = f"{name.replace('-', '_').upper()}.npz"
    return f"{name}.npz", official, f"{name.partition('-')[0]}/{official}"


def _how_to_convert(path: Path) -> str:
    return f"pickles are not executed here; convert it once: phymotion-jax convert-body {path}"


@lru_cache(maxsize=4)
def _load(path: str, _changed_ns: int) -> SurfaceModel:
    return build_surface(Path(path).stem, surface_arrays(read_smpl(path)))
