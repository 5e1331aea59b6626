"""What a part finds on every frame, and what that says of a clip."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


class Violation(NamedTuple):
    """A part's findings, in [0, 1], 0 is best."""

    frame: Float[Array, "B T"]
    """Of each frame."""

    by_row: Float[Array, "R B T"]
    """What each row (a link, a joint, a foot) adds of its own."""

    links: tuple[int, ...]
    """The link that each row blames."""

    value: Float[Array, " B"] | None = None
    """Over the clip, where that is not the mean over its frames."""


class Summary(NamedTuple):
    """A part over whole clips."""

    value: Float[Array, " B"]
    """Over the clip: the mean over its frames, or the part's own."""

    frame: Float[Array, "B T"]
    """Violation of each frame, 0 on padding."""

    links: Float[Array, "B L"]
    """Each link's own violation, averaged over the frames."""

    worst_frame: Int[Array, " B"]
    """Frame of the largest violation, -1 where there is none."""

    worst_link: Int[Array, " B"]
    """Link to blame there, -1 where there is none."""


def whole_body(frame: Float[Array, "B T"]) -> Violation:
    """A violation that no joint is to blame for: it stands at the pelvis."""
    return Violation(frame, frame[None], (0,))


def summarise(violation: Violation, mask: Bool[Array, "B T"], n_links: int) -> Summary:
    """Mean over frames, and where the worst of it is.

    Frames first, then the row that is worst on that frame. Rows that blame one link are added.
    """
    # Read three times below: without the barrier XLA computes the part three times.
    found_frame, found_row = jax.lax.optimization_barrier((violation.frame, violation.by_row))
    frame = jnp.where(mask, found_frame, 0.0)
    count = jnp.maximum(jnp.sum(mask, axis=1), 1)
    by_row = jnp.sum(jnp.where(mask, found_row, 0.0), axis=2) / count
    links = jnp.zeros((mask.shape[0], n_links)).at[:, jnp.array(violation.links)].add(by_row.T)
    worst_frame = jnp.argmax(frame, axis=1)
    there = jnp.take_along_axis(found_row, worst_frame[None, :, None], axis=2)[..., 0]
    worst_link = jnp.array(violation.links)[jnp.argmax(there, axis=0)]
    found = jnp.max(frame, axis=1) > 0.0
    return Summary(
        value=jnp.sum(frame, axis=1) / count if violation.value is None else violation.value,
        frame=frame,
        links=links,
        worst_frame=jnp.where(found, worst_frame, -1),
        worst_link=jnp.where(found, worst_link, -1),
    )


def not_measured(mask: Bool[Array, "B T"], n_links: int) -> Summary:
    """The summary of a part that could not be measured: NaN, and nothing to blame."""
    clips = mask.shape[0]
    nan, nothing = jnp.full(clips, jnp.nan), jnp.full(clips, -1)
    by_link = jnp.full((clips, n_links), jnp.nan)
    return Summary(nan, jnp.where(mask, jnp.nan, 0.0), by_link, nothing, nothing)
