"""`.npz` files: AMASS, SMPL-X, and what the newer `gvhmr` package saves. No member is unpickled.

Only the members that a clip needs are touched: AMASS keeps its `gender` as a pickled object, which
does no harm as long as nobody looks at it.
"""

import zipfile

import numpy as np

from phymotion_jax.io.archive import read_member
from phymotion_jax.io.npy import parse_npy


def is_npz(archive: zipfile.ZipFile) -> bool:
    """Whether an archive holds arrays as `numpy.savez` writes them."""
    return any(name.endswith(".npy") for name in archive.namelist())


class Npz:
    """The arrays of an open archive by name, read when asked for."""

    def __init__(self, archive: zipfile.ZipFile):
        """Note what is there; nothing is read yet."""
        self._archive = archive
        self.names = {n.removesuffix(".npy") for n in archive.namelist() if n.endswith(".npy")}

    def array(self, name: str) -> np.ndarray:
        """One of them, read-only."""
        return parse_npy(name, read_member(self._archive, f"{name}.npy"))
