"""Programs of one GPU thread a frame, for what goes over a frame's few numbers many times.

XLA makes each pass over an array a kernel, which reads the array from memory and writes what it
found. A program written once runs here as one kernel of Pallas (Triton), with what it works out in
registers, and as plain XLA elsewhere: it is given `Rows` either way.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton
from jaxtyping import Array, Float, Num

BLOCK = 128
"""Frames of a program: a thread each, in four warps."""


class Rows(Protocol):
    """Arrays ``(R, B, T)``, one row at a time."""

    def __call__(self, array: int, row: Any) -> Array:
        """A row of an array, on all frames of this program; rows may be traced numbers."""
        ...


class Memory(NamedTuple):
    """What a program may read."""

    rows: Rows
    """Of arrays."""

    numbers: tuple[Array, ...]
    """The same for all frames."""

    look_up: Callable[[int, Array], Array]
    """Elements of a table, from its number and their places."""


Program = Callable[[Memory], tuple[Array, ...]]
"""Gives arrays over frames."""


def rows_of(arrays: Sequence[Num[Array, "R B T"]]) -> Rows:
    """Rows of arrays where they are, for a program that runs as plain XLA."""
    return lambda array, row: jax.lax.dynamic_index_in_dim(arrays[array], row, 0, False)


def per_frame(
    program: Program,
    arrays: Sequence[Num[Array, "R B T"]],
    dtypes: Sequence[Any],
    *,
    numbers: Sequence[Float[Array, ""] | float] = (),
    tables: Sequence[Num[Array, " L"]] = (),
    interpret: bool = False,
) -> tuple[Num[Array, "B T"], ...]:
    """Run a program on blocks of frames, by Pallas on an NVIDIA GPU.

    Args:
      program: elementwise over frames. It may loop, and ask for rows by a loop's counter.
      arrays: of any numbers of rows, all with the same frames.
      dtypes: of each of its results.
      numbers: scalars of float32.
      tables: of any lengths. Places in them must exist.
      interpret: run it by XLA all the same, on any device, to test it.

    Returns:
      Its results, ``(B, T)``.
    """
    shape = jnp.broadcast_shapes(*(a.shape[1:] for a in arrays))
    count = prod(shape)
    flat = [jnp.broadcast_to(a, (a.shape[0], *shape)).reshape(a.shape[0], count) for a in arrays]
    scalars = jnp.stack([jnp.asarray(x, jnp.float32) for x in (*numbers, 0.0)])

    def kernel(scalars: Any, *refs: Any) -> None:
        first, last = len(tables), len(tables) + len(flat)
        inputs, outputs = refs[first:last], refs[last:]
        real = (pl.program_id(0) * BLOCK + jnp.arange(BLOCK) < count)[None]

        def rows(array: int, row: Any) -> Array:
            return triton.load(inputs[array].at[pl.ds(row, 1)], mask=real, other=0)[0]

        def look_up(table: int, place: Array) -> Array:
            return triton.load(refs[table].at[jnp.where(real[0], place, 0)])

        found = program(Memory(rows, tuple(scalars[k] for k in range(len(numbers))), look_up))
        for ref, value in zip(outputs, found, strict=True):
            triton.store(ref.at[:], value[None], mask=real)

    # Worked out from all arrays, so that under `shard_map` it varies over the axes that they do.
    frames = jax.eval_shape(lambda arrays: sum(a[:1].astype(jnp.float32) for a in arrays), flat)

    def block(n_rows: int) -> pl.BlockSpec:
        return pl.BlockSpec((n_rows, BLOCK), lambda i: (0, i))

    results = pl.pallas_call(
        kernel,
        out_shape=[frames.update(dtype=dtype) for dtype in dtypes],
        grid=(pl.cdiv(count, BLOCK),),
        in_specs=[
            *(pl.BlockSpec(whole.shape, lambda i: (0,)) for whole in (scalars, *tables)),
            *(block(len(a)) for a in flat),
        ],
        out_specs=[block(1)] * len(dtypes),
        compiler_params=triton.CompilerParams(num_warps=BLOCK // 32, num_stages=1),
        interpret=interpret,
    )(scalars, *tables, *flat)
    return tuple(c.reshape(shape) for c in results)
