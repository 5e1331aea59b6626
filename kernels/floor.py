"""Height of the floor under a clip, by a vote of its own lowest points."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

_SLOW_M_S = 0.15
"""The lowest point of a body that stands, steps or lies rises and sinks more slowly than this."""

_HALVINGS = 24
"""Bisections between the lowest and the highest vote: all that float32 can tell apart."""


_CARRIED_BW = 0.2
"""Who needs less force from outside than this flies: captured jumps need 0.04 to 0.14."""


_BESIDE_M = 0.01
"""A sole that is no higher over the body's lowest point is on the floor with it. The heels of one
who lies on his back are higher, and put a simulated fall's floor 1 cm too high; whoever kneels or
crawls has soles 6 cm and more up, on his insteps."""

_ENOUGH_S = 0.5
"""Time for which soles are down, from which on they say where the floor is."""


def floor_height(
    lowest: Float[Array, "B T"],
    mask: Bool[Array, "B T"],
    fps: Float[Array, "B 1"],
    push: Float[Array, "B T"] | None = None,
) -> Float[Array, " B"]:
    """Median of the height of the body's lowest point over the frames on which it is slow.

    A median, so that neither one deep outlier nor a flight moves the floor: it is right while the
    body rests on the ground on more than half of its slow frames. If no frame is slow, all count.
    At the height of a jump the lowest point is slow too, and nothing carries it: where `push` tells
    so, such frames do not count.

    Args:
      lowest: height of the lowest contact point on each frame, in metres.
      mask: real frames.
      fps: frames a second.
      push: vertical force that the body needs from outside, in body weights.

    Returns:
      Metres; zero for a clip without frames.
    """
    change = jnp.abs(lowest[:, 1:] - lowest[:, :-1]) * fps
    slow_step = (change < _SLOW_M_S) & mask[:, 1:] & mask[:, :-1]
    edge = jnp.zeros_like(mask[:, :1])
    before = jnp.concatenate([edge, slow_step], axis=1)
    after = jnp.concatenate([slow_step, edge], axis=1)
    slow = before | after
    if push is not None:
        slow = slow & (push > _CARRIED_BW)
    vote = jnp.where(jnp.any(slow, axis=1, keepdims=True), slow, mask)
    return _masked_median(lowest, vote)


def floor_under_feet(
    lowest: Float[Array, "B T"],
    mask: Bool[Array, "B T"],
    fps: Float[Array, "B 1"],
    push: Float[Array, "B T"],
    soles: Float[Array, "B T"],
) -> Float[Array, " B"]:
    """`floor_height` by the soles, where they are down for long enough: what hands and backs do in
    the rest of the clip does not outvote them, who may lie deeper in the floor, or on flesh.

    Args as for `floor_height`, and the height of the lowest point of both soles, in metres.
    """
    down = mask & (soles - lowest < _BESIDE_M)
    enough = jnp.sum(down, axis=1) >= _ENOUGH_S * fps[:, 0]
    down = jnp.where(enough[:, None], down, mask)
    return floor_height(jnp.where(enough[:, None], soles, lowest), down, fps, push)


def _masked_median(values: Float[Array, "B T"], mask: Bool[Array, "B T"]) -> Float[Array, " B"]:
    """Lower median by bisection: no sort, and the same program on every device.

    Its gradient is one on the median frame and zero elsewhere.
    """
    some = jnp.any(mask, axis=1)
    half = (jnp.sum(mask, axis=1) + 1) // 2
    still = jax.lax.stop_gradient(values)
    clean = jnp.where(mask, still, jnp.inf)
    bottom = jnp.where(some, jnp.min(clean, axis=1), 0.0)
    top = jnp.where(some, jnp.max(jnp.where(mask, still, -jnp.inf), axis=1), 0.0)

    def halve(_, ends):
        low, high = ends
        middle = 0.5 * (low + high)
        enough = jnp.sum(clean <= middle[:, None], axis=1) >= half
        return jnp.where(enough, low, middle), jnp.where(enough, middle, high)

    _, high = jax.lax.fori_loop(0, _HALVINGS, halve, (bottom, top))
    below = jnp.max(jnp.where(clean <= high[:, None], values, -jnp.inf), axis=1)
    return jnp.where(some, below, 0.0)
