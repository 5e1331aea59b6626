"""Motion files: what kind a file is follows from its content, and nothing in it is executed."""

from phymotion_jax.io.find import find_motion_files
from phymotion_jax.io.load import load_motion

__all__ = ["find_motion_files", "load_motion"]
