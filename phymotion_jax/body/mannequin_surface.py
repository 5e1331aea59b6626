"""The default surface: the skinned mannequin of `mannequin-x`."""

from functools import cache

from phymotion_jax.body.mannequin_arrays import mannequin_arrays
from phymotion_jax.body.surface import SurfaceModel
from phymotion_jax.body.surface_build import build_surface


@cache
def mannequin_surface() -> SurfaceModel:
    """The mannequin as a `SurfaceModel`, computed once a process (about a second)."""
    return build_surface("mannequin", mannequin_arrays())
