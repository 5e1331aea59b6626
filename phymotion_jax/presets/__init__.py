"""Settings of the scorer. A preset is a frozen dataclass and nothing else; every constant says
where it comes from.
"""

from phymotion_jax.errors import UnknownNameError
from phymotion_jax.presets.base import AXIS_NAMES, LEVELS, Axes, Level, Preset
from phymotion_jax.presets.paper import PAPER, PaperPreset
from phymotion_jax.presets.physical import PHYSICAL, PhysicalPreset, Ramp
from phymotion_jax.presets.reference import (
    PUBLISHED_NAMES,
    QUIRK_NAMES,
    REFERENCE,
    ReferencePreset,
    ReferenceQuirks,
)

__all__ = [
    "AXIS_NAMES",
    "LEVELS",
    "PAPER",
    "PHYSICAL",
    "PRESET_NAMES",
    "PUBLISHED_NAMES",
    "QUIRK_NAMES",
    "REFERENCE",
    "Axes",
    "Level",
    "PaperPreset",
    "PhysicalPreset",
    "Preset",
    "Ramp",
    "ReferencePreset",
    "ReferenceQuirks",
    "get_preset",
]

_PRESETS: dict[str, Preset] = {preset.name: preset for preset in (PHYSICAL, PAPER, REFERENCE)}

PRESET_NAMES: tuple[str, ...] = tuple(_PRESETS)
"""Names that `get_preset` knows."""


def get_preset(preset: str | Preset) -> Preset:
    """A preset by name, or as it is.

    Raises:
      UnknownNameError: with the names there are.
    """
    if isinstance(preset, Preset):
        return preset
    if preset not in _PRESETS:
        raise UnknownNameError("preset", preset, PRESET_NAMES)
    return _PRESETS[preset]
