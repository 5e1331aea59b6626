"""What a preset finds on a batch: what its report is made from."""

from typing import NamedTuple

from jaxtyping import Array, Float

from phymotion_jax.parts.violation import Violation
from phymotion_jax.report import Forces


class Findings(NamedTuple):
    """Violations of every part, and what stands beside them."""

    parts: dict[str, Violation]
    """By name. A part of the preset that is not here could not be measured."""

    activity: Float[Array, " B"]
    """Mean speed of the links, in m/s."""

    floor: Float[Array, " B"]
    """Height of the floor that was used, in metres."""

    methods: tuple[tuple[str, str], ...]
    """How a part was measured where there are several ways, as (part, method)."""

    details: dict[str, Float[Array, " B"]]
    """Further figures, named as in `Preset.details`."""

    forces: Forces | None = None
    """Forces behind the parts, where the preset solves for them."""
