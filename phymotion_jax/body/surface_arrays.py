"""A body's surface as files have it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class SurfaceArrays:
    """A space of bodies on the 24 links, in its file's order and frame (metres, y up)."""

    vertex_mean: Float[np.ndarray, "V 3"]
    """Vertices of the mean body."""

    vertex_dirs: Float[np.ndarray, "V 3 10"]
    """Their change a unit of each beta."""

    pose_dirs: Float[np.ndarray, "V 3 P"]
    """Their change a unit of each element of the local rotations; P may be 0."""

    joint_mean: Float[np.ndarray, "24 3"]
    """Joints of the mean body."""

    joint_dirs: Float[np.ndarray, "24 3 10"]
    """Their change a unit of each beta."""

    weights: Float[np.ndarray, "V 24"]
    """How much each link moves each vertex."""

    faces: Int[np.ndarray, "N 3"]
    """Vertices of each triangle."""

    @property
    def face_link(self) -> Int[np.ndarray, " N"]:
        """Part that each triangle is of: the link that moves its corners most."""
        return np.argmax(np.sum(self.weights[self.faces], axis=1), axis=1)
