"""How what carries the body moves: each support as its link does where the force acts."""

from itertools import accumulate

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.kernels.differences import linear_rates
from phymotion_jax.kernels.tree import take_rows
from phymotion_jax.kernels.vectors import Vec, add, cross, sub
from phymotion_jax.loads import support_sizes
from phymotion_jax.physical.scene import Scene


def support_links(humanoid: Humanoid) -> tuple[int, ...]:
    """The link of each support."""
    return tuple(humanoid.contact_link[stop - 1] for stop in accumulate(support_sizes(humanoid)))


def support_velocity(scene: Scene, humanoid: Humanoid) -> Vec:
    """Velocity of each support, ``(S, B, T)``, in m/s: of its link at the place where the force
    acts, so that rolling over it moves nothing."""
    state, links = scene.state, support_links(humanoid)
    origin, turning = (
        tuple(take_rows(c, links) for c in v) for v in (state.motion.pos, state.motion.ang_vel)
    )
    root = state.joints.root_pos
    com = tuple(c[None] - r for c, r in zip(state.com, root, strict=True))
    velocity, _ = linear_rates(add(origin, root), state.mask, state.fps)  # pyright: ignore
    arm = sub(add(scene.loads.place, com), origin)  # pyright: ignore[reportArgumentType]
    return add(velocity, cross(turning, arm))  # pyright: ignore[reportArgumentType]
