"""Score how physically possible 3D human motion is, thousands of clips in one call.

Names are imported on first use (PEP 562): JAX costs seconds, and `phymotion-jax --help` needs none.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from phymotion_jax._version import __version__

if TYPE_CHECKING:
    from phymotion_jax.body.humanoid import Humanoid
    from phymotion_jax.body.mjcf import to_mjcf
    from phymotion_jax.body.mjcf_reader import from_mjcf
    from phymotion_jax.body.skin import Skin
    from phymotion_jax.body.surface import SurfaceModel, posed_vertices
    from phymotion_jax.body.surface_files import load_surface
    from phymotion_jax.body.surface_humanoid import humanoid_from_surface
    from phymotion_jax.errors import ModelError, MotionError, PhyMotionError, Status
    from phymotion_jax.io import load_motion
    from phymotion_jax.level import level_floor
    from phymotion_jax.motion import Motion, MotionBatch
    from phymotion_jax.presets import Preset
    from phymotion_jax.report import Report
    from phymotion_jax.scorer import Scorer, score

_HOMES = {
    "Humanoid": "phymotion_jax.body.humanoid",
    "ModelError": "phymotion_jax.errors",
    "Motion": "phymotion_jax.motion",
    "MotionBatch": "phymotion_jax.motion",
    "MotionError": "phymotion_jax.errors",
    "PhyMotionError": "phymotion_jax.errors",
    "Preset": "phymotion_jax.presets",
    "Report": "phymotion_jax.report",
    "Scorer": "phymotion_jax.scorer",
    "Skin": "phymotion_jax.body.skin",
    "Status": "phymotion_jax.errors",
    "SurfaceModel": "phymotion_jax.body.surface",
    "from_mjcf": "phymotion_jax.body.mjcf_reader",
    "humanoid_from_surface": "phymotion_jax.body.surface_humanoid",
    "level_floor": "phymotion_jax.level",
    "load_motion": "phymotion_jax.io",
    "load_surface": "phymotion_jax.body.surface_files",
    "posed_vertices": "phymotion_jax.body.surface",
    "score": "phymotion_jax.scorer",
    "to_mjcf": "phymotion_jax.body.mjcf",
}

__all__ = [
    "Humanoid",
    "ModelError",
    "Motion",
    "MotionBatch",
    "MotionError",
    "PhyMotionError",
    "Preset",
    "Report",
    "Scorer",
    "Skin",
    "Status",
    "SurfaceModel",
    "__version__",
    "from_mjcf",
    "humanoid_from_surface",
    "level_floor",
    "load_motion",
    "load_surface",
    "posed_vertices",
    "score",
    "to_mjcf",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Public names, for completion."""
    return __all__
