"""Where XLA has to work something out once, and keep it, instead of at each place that reads it."""

from typing import TypeVar

import jax

_Tree = TypeVar("_Tree")


def stored(tree: _Tree) -> _Tree:
    """The same arrays, behind a barrier that no fusion reaches across.

    A barrier for each array: one over several, of which some have no derivative, has no transpose
    in jax 0.11 ("DynamicJaxprTracer has no attribute accum").
    """
    return jax.tree.map(jax.lax.optimization_barrier, tree)
