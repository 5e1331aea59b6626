"""What forces from outside take off the moments across a tree's joints."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from phymotion_jax.kernels.per_frame import Memory, pallas_or_xla, per_frame
from phymotion_jax.kernels.tree import Parents, chains, sums
from phymotion_jax.kernels.vectors import Mat, Vec, add, cross, mat_t_vec, scale, sub


class Pushes(NamedTuple):
    """Forces on points of the links. Arrays are ``(G, B, T)``, in world axes."""

    force: Vec
    """In body weights, or any other unit."""

    place: Vec
    """Where each acts, relative to `origin`, in metres."""

    origin: Vec
    """Relative to the root's origin, ``(B, T)``."""

    newtons: Float[Array, "B T"]
    """In a unit of force."""


class Links(NamedTuple):
    """Where the links are. Arrays are ``(L, B, T)``."""

    rot: Mat
    """Rotation from the link to the world."""

    pos: Vec
    """Origin relative to the root's, in metres."""


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def moments_left(
    parents: Parents, owners: tuple[int, ...], links: Links, moment: Vec, pushes: Pushes
) -> Vec:
    """Moments across the joints, less what pushes on the links do.

    With all moments about one point, those of a subtree are plain sums. On an NVIDIA GPU one
    kernel.

    Args:
      parents: the tree, parents before their children.
      owners: link of each push.
      links: where they are.
      moment: across each joint without the pushes, in the link's own axes, ``(L, B, T)``, in N·m.
      pushes: what acts on them.
    """
    xla = partial(moments_xla, parents, owners)
    if moment[0].dtype != jnp.float32:
        return xla(links, moment, pushes)
    pallas = partial(moments_pallas, parents, owners)
    return pallas_or_xla(links, moment, pushes, pallas=pallas, xla=xla)


@moments_left.defjvp
def _moments_jvp(parents: Parents, owners: tuple[int, ...], primals: Any, tangents: Any) -> Any:
    return jax.jvp(partial(moments_xla, parents, owners), primals, tangents)


def moments_xla(
    parents: Parents, owners: tuple[int, ...], links: Links, moment: Vec, pushes: Pushes
) -> Vec:
    """As a product with the links that each push burdens."""
    force = scale(pushes.force, pushes.newtons)
    place = add(pushes.place, tuple(c[None] for c in pushes.origin))  # pyright: ignore
    burden = chains(parents)[list(owners)].T
    *forces, x, y, z = sums(burden, (*force, *cross(place, force)))
    about_joint = sub((x, y, z), cross(links.pos, tuple(forces)))  # pyright: ignore
    return sub(moment, mat_t_vec(links.rot, about_joint))


def moments_pallas(
    parents: Parents,
    owners: tuple[int, ...],
    links: Links,
    moment: Vec,
    pushes: Pushes,
    *,
    interpret: bool = False,
) -> Vec:
    """Link by link. Sums on their way to the root lie in the results, where the thread that wrote
    them finds them again."""
    n_links = len(parents)
    order = sorted(range(len(owners)), key=owners.__getitem__)
    starts = [sum(owner < link for owner in owners) for link in range(n_links + 1)]

    def program(memory: Memory) -> None:
        frame = [memory.rows(21, k) for k in range(4)]
        zero = jnp.zeros_like(frame[0])

        def load(first: int, k: Any, count: int = 3) -> Any:
            return tuple(memory.rows(first + c, k) for c in range(count))

        def sums(k: Any) -> tuple[Vec, Vec]:
            kept = [memory.result(c, k) for c in range(6)]
            return tuple(kept[:3]), tuple(kept[3:])  # pyright: ignore[reportReturnType]

        def own(k: Any, done: Any) -> Any:
            def add_one(i: Any, total: Any) -> Any:
                push = memory.look_up(1, i)
                force = load(0, push)
                place = add(load(3, push), tuple(frame[:3]))  # pyright: ignore
                return tuple(
                    a + b for a, b in zip(total, (*force, *cross(place, force)), strict=True)
                )

            span = memory.look_up(2, k), memory.look_up(2, k + 1)
            memory.store_all(0, k, jax.lax.fori_loop(*span, add_one, (zero,) * 6))
            return done

        def across(k: Any, force: Vec, about_root: Vec) -> None:
            about = sub(about_root, cross(load(15, k), force))
            carried = scale(mat_t_vec(load(6, k, 9), about), frame[3])
            memory.store_all(3, k, sub(load(18, k), carried))

        def inwards(step: Any, done: Any) -> Any:
            k = n_links - 1 - step
            parent = memory.look_up(0, k)
            force, about_root = sums(k)
            above = sums(parent)
            memory.store_all(0, parent, (*add(above[0], force), *add(above[1], about_root)))
            across(k, force, about_root)
            return done

        jax.lax.fori_loop(0, n_links, own, 0)
        jax.lax.fori_loop(0, n_links - 1, inwards, 0)
        across(0, *sums(0))

    newtons = jnp.broadcast_to(pushes.newtons, pushes.origin[0].shape)
    frame = jnp.stack([*pushes.origin, newtons])
    arrays = (*pushes.force, *pushes.place, *links.rot, *links.pos, *moment, frame)
    upwards = [max(p, 0) for p in parents]
    tables = tuple(jnp.array(x, jnp.int32) for x in (upwards, order, starts))
    results = [(n_links, jnp.float32)] * 6
    found = per_frame(program, arrays, results, tables=tables, interpret=interpret)
    return tuple(found[3:])  # pyright: ignore[reportReturnType]
