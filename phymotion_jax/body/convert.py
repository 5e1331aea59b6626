"""Licensed body models to a small file, once. Pickles are opened by `smplx`, with PyTorch."""

import os
import sys
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path

import numpy as np

from phymotion_jax.body.smpl_files import SmplArrays, read_smpl, write_smpl
from phymotion_jax.body.surface_files import BODIES, cache_folder
from phymotion_jax.errors import BodyNotFoundError, ModelError


def convert_body(
    source: str | os.PathLike[str], output: str | os.PathLike[str] | None = None
) -> Path:
    """Bring a model of SMPL, SMPL-H or SMPL-X to the 24 links and keep what is needed of it.

    Args:
      source: the model's `.npz`, which is read as data, or its `.pkl`, which `smplx` opens. That
        executes what is in the pickle: do it only with files from the models' own sites.
      output: an `.npz`. By default it goes where `load_surface` finds it by name.

    Returns:
      Where it was written.

    Raises:
      ModelError: if the file cannot be read as such a model.
    """
    source = Path(source)
    if not source.is_file():
        raise BodyNotFoundError(f"there is no {source}")
    target = Path(output) if output else cache_folder() / f"{_name_of(source)}.npz"
    if target.suffix != ".npz":
        raise ModelError(f"{target} does not end in .npz")
    write_smpl(target, _read_pickle(source) if source.suffix == ".pkl" else read_smpl(source))
    return target


def _name_of(source: Path) -> str:
    """The body's name, from a published file name such as SMPLX_NEUTRAL.pkl."""
    name = source.stem.lower().replace("_", "-")
    if name not in BODIES:
        raise ModelError(f"{source.name} does not say which body it is; name a file with -o")
    return name


def _read_pickle(source: Path) -> SmplArrays:
    """The arrays as `smplx` holds them. Its SMPL class reads the members that all models share."""
    try:
        smplx = import_module("smplx")
    except ImportError as error:
        raise ModelError(
            f"{source} is a pickle, which smplx opens: pip install 'phymotion-jax[smplx]' "
            f"({error}). An .npz of the model needs neither"
        ) from error
    empty = ("global_orient", "body_pose", "betas", "transl")
    try:
        with redirect_stdout(sys.stderr):  # it prints warnings
            model = smplx.SMPL(str(source), **{f"create_{name}": False for name in empty})
        posedirs = model.posedirs.numpy()
        return SmplArrays(
            v_template=model.v_template.numpy(),
            shapedirs=model.shapedirs.numpy(),
            posedirs=posedirs.T.reshape(-1, 3, len(posedirs)),
            J_regressor=model.J_regressor.numpy(),
            weights=model.lbs_weights.numpy(),
            kintree_table=np.stack([model.parents.numpy(), np.arange(len(model.parents))]),
            f=model.faces_tensor.numpy(),
        )
    except Exception as error:  # what is in a pickle may raise anything; SMPL's first need chumpy
        raise ModelError(f"smplx cannot open {source}: {type(error).__name__}, {error}") from error
