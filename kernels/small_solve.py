"""Small symmetric linear systems, one a frame, written out component by component."""

from collections.abc import Sequence

from jaxtyping import Array


def solve_symmetric(lower: Sequence[Sequence[Array]], rhs: Sequence[Array]) -> list[Array]:
    """Solve A x = b for a symmetric positive definite A of a handful of rows.

    LDLᵀ without pivoting, unrolled: elementwise over frames, where `jnp.linalg` would call a
    library for each and a matrix product would round to TF32. Linear in `rhs`, so that it can be
    transposed; positive definite also means that no pivot vanishes.

    Args:
      lower: rows of A up to the diagonal, so row i has i + 1 entries.
      rhs: b.

    Returns:
      x.
    """
    size = len(rhs)
    a, x = [list(row) for row in lower], list(rhs)
    for j in range(size):
        for i in range(j + 1, size):
            ratio = a[i][j] / a[j][j]
            x[i] = x[i] - ratio * x[j]
            for k in range(j + 1, i + 1):
                a[i][k] = a[i][k] - ratio * a[k][j]
    for j in reversed(range(size)):
        for k in range(j + 1, size):
            x[j] = x[j] - a[k][j] * x[k]
        x[j] = x[j] / a[j][j]
    return x
