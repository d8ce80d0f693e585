"""The sparse matrix of a radial kernel on points, assembled chunk by chunk in the memory that it will take."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from scipy.sparse import csr_array

from nlmodel._jit import compiled
from nlmodel.errors import NonFiniteError
from nlmodel.kernels import RadialKernel
from nlmodel.operators import cells_portable
from nlmodel.operators.cells import Cells
from nlmodel.operators.csr_product import inverse
from nlmodel.operators.growing import Growing
from nlmodel.operators.threads import in_order


CHUNKS = 1024  # of candidates, so that those in work are a hundredth of the matrix
PAIRS_PER_CHUNK = 16_384, 131_072  # at least, as each has its price; at most, to stay in the cache of a core
COMPILED_FROM = 5_000  # points; below, the matrix is there before numba is imported
SORTED_FROM = 8_192  # points; below, a field stays in the cache of a core, in whatever order
SCATTERED = 1 / 16  # of the points lie between those that follow each other in space: then it pays to sort the fields


def neighbour_matrix(X: np.ndarray, kernel: RadialKernel) -> tuple[csr_array, np.ndarray | None]:
    """rho(|X_i - X_j|) of every pair within the horizon, without explicit zeros.

    Each entry comes from the same differences and the same profile as in the dense definition, to the last bit, so that
    both decide alike on pairs at the horizon.

    Parameters
    ----------
    X : (M, D) array.
    kernel : of dimension D and with a finite horizon.

    Returns  the matrix A with int32 indices while they suffice, columns ascending; and an order, or None.  Where points
             that are close in space are far apart in memory, A_ab belongs to the points order[a] and order[b].
    Raises   NonFiniteError: the kernel is not finite on some pair.
    Cost     O(M log M + candidates) time, 3^D / |unit ball| candidates a pair that is stored; memory: the matrix and a
             32nd of it, the sorted points, and a few chunks.
    """
    cells = cells_of(X, kernel)
    order = user_order(cells)
    rows = row_order(cells, order)
    data, columns = Growing(cells.points.dtype), Growing(cells.order.dtype)
    indptr, stored = np.zeros(len(X) + 1, dtype=index_type(cells.total)), 0
    for part, share, values, pairs, counts in _chunks(cells, rows, kernel, named=order is None):
        indptr[part.start + 1 : part.stop + 1] = stored + np.cumsum(counts)
        stored += len(values)
        data.append(values, share)
        columns.append(pairs, share)
    index = index_type(stored)
    indices = columns.whole().astype(index, copy=False)
    matrix = csr_array((data.whole(), indices, indptr.astype(index, copy=False)), shape=(len(X), len(X)))
    return matrix, order


def user_order(cells: Cells) -> np.ndarray | None:
    """The order of the cells where the matrix is kept in it, None where it is kept in the user's."""
    points = len(cells.order)
    return cells.order if points >= SORTED_FROM and cells.stride >= SCATTERED * points else None


def index_type(entries: int) -> type[np.integer]:
    """The narrower integer that counts so many stored entries."""
    return np.int32 if entries <= np.iinfo(np.int32).max else np.int64


def cells_of(X: np.ndarray, kernel: RadialKernel) -> Cells:
    """The cells in which the neighbours are found."""
    return Cells.of(X, kernel.reach(X))


def row_order(cells: Cells, order: np.ndarray | None) -> np.ndarray:
    """Which of the sorted points belongs to each row of the matrix."""
    return inverse(cells.order) if order is None else np.arange(len(order), dtype=order.dtype)


def finder(points: int) -> Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The function `neighbours` for so many points."""
    loops = compiled("operators.cells_compiled") if points >= COMPILED_FROM else None
    return (loops or cells_portable).neighbours


def largest_square(X: np.ndarray, kernel: RadialKernel) -> np.floating:
    """The squared distance up to which points are neighbours, as the kernel itself computes it."""
    reach = kernel.reach(X)
    with np.errstate(over="ignore"):
        return X.dtype.type(reach * reach)


def _chunks(
    cells: Cells, rows: np.ndarray, kernel: RadialKernel, *, named: bool
) -> Iterator[tuple[slice, float, np.ndarray, np.ndarray, np.ndarray]]:
    """Rows, the share that is done after them, and their values, columns and lengths, in order."""
    find, limit, apart = finder(len(rows)), largest_square(cells.points, kernel), kernel.vanishes_at_zero

    def evaluated(chunk: tuple[slice, float]) -> tuple[slice, float, np.ndarray, np.ndarray, np.ndarray]:
        part, share = chunk
        columns, square, counts = find(cells, rows[part], limit, apart, named)
        if not len(columns):
            return part, share, square, columns, counts
        with np.errstate(over="ignore", invalid="ignore"):  # the result is checked instead
            values = kernel.constant * kernel.unscaled(square)
        if not np.all(np.isfinite(values)):
            raise NonFiniteError("the kernel gave NaN or infinity", got=repr(kernel))
        if not np.all(values):
            kept = values != 0
            bounds = np.concatenate([[0], np.cumsum(counts)])
            counts = np.diff(np.concatenate([[0], np.cumsum(kept)])[bounds])
            values, columns = values[kept], columns[kept]
        return part, share, values, columns, counts

    least, most = PAIRS_PER_CHUNK
    return in_order(evaluated, cells.chunks(rows, max(least, min(most, cells.total // CHUNKS))))
