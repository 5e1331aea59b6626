"""What a part finds on every frame, and what that says of a clip."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from phymotion_jax.kernels.stored import stored
from phymotion_jax.kernels.windows import take_frames


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

    severity: Float[Array, "B T"] | None = None
    """How bad a frame is by itself, in any unit, where its violation is also of what is around it:
    of frames that are nearly as bad as any, the worst by this is named."""


_NEARLY = 0.9
"""Share of the largest violation from which on `severity` tells which frame is worst."""


class Summary(NamedTuple):
    """Parts over whole clips: ``K`` of them, or one."""

    value: Float[Array, "*K B"]
    """Over the clip: the mean over its frames, or the part's own."""

    frame: Float[Array, "*K B T"]
    """Violation of each frame, 0 on padding."""

    links: Float[Array, "*K B L"]
    """Each link's own violation, averaged over the frames."""

    worst_frame: Int[Array, "*K B"]
    """Frame of the largest violation, or of the greatest severity; -1 where there is none."""

    worst_link: Int[Array, "*K B"]
    """Link to blame there, -1 where there is none."""


def whole_body(frame: Float[Array, "B T"]) -> Violation:
    """A violation that no joint is to blame for: it stands at the pelvis."""
    return Violation(frame, frame[None], (0,))


def summarise(parts: Sequence[Violation], mask: Bool[Array, "B T"], n_links: int) -> Summary:
    """Mean over frames, and where the worst of it is, of all parts in one.

    Frames first, then the row that is worst on that frame. Rows that blame one link are added.
    """
    # Read three times below: without the barrier XLA computes the parts three times.
    found = stored([(part.frame, part.by_row) for part in parts])
    frame = jnp.where(mask, jnp.stack([frame for frame, _ in found]), 0.0)
    # Barrier: XLA makes a product of a quotient of many rows by one, and 0.99999994 of all ones.
    count = jnp.broadcast_to(jnp.maximum(jnp.sum(mask, axis=1), 1), frame.shape[:2])
    count = stored(count)
    most = jnp.max(frame, axis=2)
    severity = [frame[k] if p.severity is None else p.severity for k, p in enumerate(parts)]
    worse = jnp.where(mask & (frame >= _NEARLY * most[..., None]), jnp.stack(severity), -1.0)
    worst_frame = jnp.argmax(worse, axis=2)
    mean = jnp.sum(frame, axis=2) / count
    values = [mean[k] if part.value is None else part.value for k, part in enumerate(parts)]
    rows = [by_row for _, by_row in found]
    there = [
        take_frames(by_row, at[:, None])[..., 0]
        for by_row, at in zip(rows, worst_frame, strict=True)
    ]
    blamed = _worst_link(jnp.concatenate(there), [part.links for part in parts])
    added = [jnp.sum(jnp.where(mask, by_row, 0.0), axis=2) / count[0] for by_row in rows]
    owner = [(k, link) for k, part in enumerate(parts) for link in part.links]
    links = jnp.zeros((len(parts), n_links, len(mask)), frame.dtype)
    links = links.at[tuple(np.array(owner).T)].add(jnp.concatenate(added))
    return Summary(
        value=jnp.stack(values),
        frame=frame,
        links=jnp.moveaxis(links, 1, 2),
        worst_frame=jnp.where(most > 0.0, worst_frame, -1),
        worst_link=jnp.where(most > 0.0, blamed, -1),
    )


def _worst_link(there: Float[Array, "R B"], links: Sequence[tuple[int, ...]]) -> Int[Array, "K B"]:
    """The link of each part's largest row, from the rows of all parts one after the other."""
    start, longest = np.cumsum([0, *map(len, links)]), max(map(len, links))
    # Shorter parts have their last row again and again: the first of the largest is taken.
    place = np.array([np.minimum(np.arange(longest), len(some) - 1) for some in links])
    row = jnp.argmax(there[start[:-1, None] + place], axis=1)
    owner = jnp.array([np.array(some)[at] for some, at in zip(links, place, strict=True)])
    return owner[np.arange(len(links))[:, None], row]


def not_measured(mask: Bool[Array, "B T"], n_links: int) -> Summary:
    """The summary of one part that could not be measured: NaN, and nothing to blame."""
    clips = mask.shape[0]
    nan, nothing = jnp.full(clips, jnp.nan), jnp.full(clips, -1)
    by_link = jnp.full((clips, n_links), jnp.nan)
    return Summary(nan, jnp.where(mask, jnp.nan, 0.0), by_link, nothing, nothing)
