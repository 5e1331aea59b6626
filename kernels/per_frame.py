"""Programs of one GPU thread a frame, for what goes over a frame's few numbers many times.

XLA makes each pass over an array a kernel, which reads the array from memory and writes what it
found. A program written once runs here as one kernel of Pallas (Triton), with what it works out in
registers, and as plain XLA elsewhere: it is given `Rows` and `Fold` either way.
"""

from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from math import prod
from typing import Any, NamedTuple, Protocol, TypeVar

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jaxtyping import Array, Bool, Float, Int, Num

try:
    triton: Any = import_module("jax.experimental.pallas.triton")
except ImportError:  # jax calls it deprecated as of 0.11.2, and says that it will be removed
    triton = None

_WARP = 32

Carry = TypeVar("Carry")
Found = TypeVar("Found")


class Rows(Protocol):
    """Arrays ``(R, B, T)``, one row at a time."""

    def __call__(self, array: int, row: Any) -> Array:
        """A row of an array, on all frames of this program; rows may be traced numbers."""
        ...


class Fold(Protocol):
    """A loop over rows."""

    def __call__(self, step: Callable[[Any, Carry], Carry], start: Carry) -> Carry:
        """Folds ``step(row, carry)`` over the rows that matter."""
        ...


class Memory(NamedTuple):
    """What a program may read."""

    rows: Rows
    """Of arrays."""

    fold: Fold
    """Over the rows that are active on any of this program's frames."""

    numbers: tuple[Array, ...]
    """The same for all frames."""

    look_up: Callable[[int, Array], Array]
    """Elements of a table, from its number and their places: one, or one a frame."""

    result: Rows
    """Of results, as far as they are stored."""

    store: Callable[[int, Any, Array], None]
    """Stores a row of a result."""

    def store_all(self, first: int, row: Any, values: Iterable[Array]) -> None:
        """Stores components in one row of as many results, from the first on."""
        for k, value in enumerate(values):
            self.store(first + k, row, value)


IfAny = Callable[[Array, Callable[[Any], Any], Any], Any]
"""A step of a state, if any frame needs it: `if_any` or `always`."""

Program = Callable[[Memory], None]
"""Stores its results."""


def pallas_or_xla(*arrays: Any, pallas: Callable[..., Found], xla: Callable[..., Found]) -> Found:
    """One of two forms of the same: kernels of Pallas where that is an NVIDIA GPU and this jax has
    a way to compile them, plain XLA elsewhere."""
    if triton is None:
        return xla(*arrays)
    return jax.lax.platform_dependent(*arrays, cuda=pallas, default=xla)


def if_any(needed: Bool[Array, " N"], step: Callable[[Carry], Carry], state: Carry) -> Carry:
    """What a step makes of a state where some frame of the block needs it; else the same state.

    A frame that does not need it must come out the same either way.
    """
    return jax.lax.cond(jnp.max(jnp.where(needed, 1, 0)) > 0, step, lambda same: same, state)


def always(needed: Array, step: Callable[[Carry], Carry], state: Carry) -> Carry:
    """In place of `if_any`, for a program that runs as plain XLA: the step, needed or not."""
    del needed
    return step(state)


def rows_of(arrays: Sequence[Num[Array, "R B T"]]) -> Rows:
    """Rows of arrays where they are, for a program that runs as plain XLA."""
    return lambda array, row: jax.lax.dynamic_index_in_dim(arrays[array], row, 0, False)


def fold_over(count: int, unroll: int | None = None) -> Fold:
    """A loop over so many rows."""
    return lambda step, start: jax.lax.fori_loop(0, count, step, start, unroll=unroll)


def per_frame(
    program: Program,
    arrays: Sequence[Num[Array, "R B T"]],
    results: Sequence[tuple[int, Any]],
    *,
    active: Bool[Array, "R B T"] | None = None,
    numbers: Sequence[Float[Array, ""] | float] = (),
    tables: Sequence[Num[Array, " L"]] = (),
    warps: int = 1,
    interpret: bool = False,
) -> list[Num[Array, "R B T"]]:
    """Run a program on blocks of frames, by Pallas on an NVIDIA GPU.

    Args:
      program: elementwise over frames. It may loop, and ask for rows by a loop's counter.
      arrays: of any numbers of rows, all with the same frames.
      results: rows and type of each of its results. All of them are to be stored.
      active: rows that `Memory.fold` must not leave out; it leaves out those that are active on
        none of a block's frames.
      numbers: scalars of float32.
      tables: of any lengths. Places in them must exist.
      warps: of 32 frames each, in a block.
      interpret: run it by XLA all the same, on any device, to test it.

    Returns:
      Its results.
    """
    shape = jnp.broadcast_shapes(*(a.shape[1:] for a in arrays))
    count, block = prod(shape), warps * _WARP
    flat = [jnp.broadcast_to(a, (a.shape[0], *shape)).reshape(a.shape[0], count) for a in arrays]
    scalars = jnp.stack([jnp.asarray(x, jnp.float32) for x in (*numbers, 0.0)])
    visited = _visited(active, block)
    whole = (scalars, *visited, *tables)

    def kernel(scalars: Any, rows_visited: Any, n_visited: Any, *refs: Any) -> None:
        inputs, outputs = refs[len(tables) :][: len(flat)], refs[len(tables) + len(flat) :]
        here = pl.program_id(0)
        real = (here * block + jnp.arange(block) < count)[None]

        def rows(array: int, row: Any) -> Array:
            return triton.load(inputs[array].at[pl.ds(row, 1)], mask=real, other=0)[0]

        def fold(step: Callable[[Any, Carry], Carry], start: Carry) -> Carry:
            visit = lambda k, carry: step(rows_visited[k, here], carry)  # noqa: E731
            return jax.lax.fori_loop(0, n_visited[here], visit, start)

        def look_up(table: int, place: Array) -> Array:
            some = jnp.where(real[0], place, 0) if place.ndim else place
            return triton.load(refs[table].at[some])

        def result(array: int, row: Any) -> Array:
            return triton.load(outputs[array].at[pl.ds(row, 1)], mask=real, other=0)[0]

        def store(array: int, row: Any, value: Array) -> None:
            triton.store(outputs[array].at[pl.ds(row, 1)], value[None], mask=real)

        given = tuple(scalars[k] for k in range(len(numbers)))
        program(Memory(rows, fold, given, look_up, result, store))

    # Worked out from all arrays, so that under `shard_map` it varies over the axes that they do.
    frames = jax.eval_shape(lambda arrays: sum(a[:1].astype(jnp.float32) for a in arrays), flat)

    def blocks(n_rows: int) -> pl.BlockSpec:
        return pl.BlockSpec((n_rows, block), lambda i: (0, i))

    found = pl.pallas_call(
        kernel,
        out_shape=[frames.update(shape=(n, count), dtype=dtype) for n, dtype in results],
        grid=(pl.cdiv(count, block),),
        in_specs=[
            *(pl.BlockSpec(w.shape, lambda i, n=w.ndim: (0,) * n) for w in whole),
            *(blocks(len(a)) for a in flat),
        ],
        out_specs=[blocks(n) for n, _ in results],
        compiler_params=triton.CompilerParams(num_warps=warps, num_stages=1),
        interpret=interpret,
    )(*whole, *flat)
    return [c.reshape(len(c), *shape) for c in found]


def _visited(
    active: Bool[Array, "R B T"] | None, block: int
) -> tuple[Int[Array, "R N"], Int[Array, " N"]]:
    """Rows that are active on any frame of each block, in order, and how many they are."""
    if active is None:
        return jnp.zeros((1, 1), jnp.int32), jnp.zeros(1, jnp.int32)
    flat = active.reshape(active.shape[0], -1)
    flat = jnp.pad(flat, ((0, 0), (0, -flat.shape[1] % block)))
    some = jnp.any(flat.reshape(flat.shape[0], -1, block), axis=2)
    n_rows, n_blocks = some.shape
    rank = jnp.cumsum(some, axis=0, dtype=jnp.int32) - 1
    row, column = jnp.arange(n_rows, dtype=jnp.int32)[:, None], jnp.arange(n_blocks)
    rows = jnp.zeros((n_rows, n_blocks), jnp.int32)
    rows = rows.at[jnp.where(some, rank, n_rows), column].set(row, mode="drop")
    return rows, rank[-1] + 1
