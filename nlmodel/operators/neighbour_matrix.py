"""The sparse matrix of a radial kernel on points, assembled in the memory that it will take."""

from __future__ import annotations

from types import ModuleType

import numpy as np
from scipy.sparse import csr_array

from nlmodel._jit import compiled
from nlmodel.errors import NonFiniteError
from nlmodel.kernels import RadialKernel
from nlmodel.operators import cells_portable
from nlmodel.operators.cells import Cells
from nlmodel.operators.compiled import profile_of
from nlmodel.operators.csr_product import inverse
from nlmodel.operators.threads import in_order


EVALUATED = 65_536  # entries at once, which stay in the cache of a core
COMPILED_FROM = 5_000  # points; below, the matrix is there before numba is imported
SORTED_FROM = 8_192  # points; below, a field stays in the cache of a core, in whatever order
SCATTERED = 1 / 16  # of the points lie between those that follow each other in space: then it pays to sort the fields


def neighbour_matrix(X: np.ndarray, kernel: RadialKernel) -> tuple[csr_array, np.ndarray | None]:
    """rho(|X_i - X_j|) of every pair within the horizon, without explicit zeros.

    Each distance comes from the same differences as in the dense definition, to the last bit, so that both decide alike
    on pairs at the horizon.  So do the entries, except where compiled loops know the kernel.

    Parameters
    ----------
    X : (M, D) array.
    kernel : of dimension D and with a finite horizon.

    Returns  the matrix A with int32 indices while they suffice, columns ascending; and an order, or None.  Where points
             that are close in space are far apart in memory, A_ab belongs to the points order[a] and order[b].
    Raises   NonFiniteError: the kernel is not finite on some pair.
    Accuracy of compiled entries: relative error <= 3 eps (1 + |log rho|), 0 below the smallest normal number.
    Cost     O(M log(cells) + candidates) time, 3^D / |unit ball| candidates a pair that is stored; memory: the matrix,
             the sorted points and the chunks in work; without numba a 32nd of the matrix more.
    """
    cells = cells_of(X, kernel)
    order = user_order(cells)
    rows = inverse(cells.order) if order is None else np.arange(len(order), dtype=order.dtype)
    indptr, columns, square = neighbours(cells, rows, kernel, named=order is None)
    matrix = csr_array((square, columns, indptr), shape=(len(X), len(X)))
    if not _evaluate(matrix.data, X, kernel):
        matrix.eliminate_zeros()
    return matrix, order


def cells_of(X: np.ndarray, kernel: RadialKernel) -> Cells:
    """The cells in which the neighbours are found."""
    return Cells.of(X, kernel.reach(X))


def user_order(cells: Cells) -> np.ndarray | None:
    """The order of the cells where the matrix is kept in it, None where it is kept in the user's."""
    points = len(cells.order)
    return cells.order if points >= SORTED_FROM and cells.stride >= SCATTERED * points else None


def neighbours(
    cells: Cells, rows: np.ndarray, kernel: RadialKernel, *, named: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`pairs` of `cells_portable`, compiled where points are many and numba is there."""
    limit = largest_square(cells.points, kernel)
    return (loops("cells_compiled", len(cells.order)) or cells_portable).pairs(
        cells, rows, limit, kernel.vanishes_at_zero, named
    )


def loops(name: str, points: int) -> ModuleType | None:
    """A compiled module of operators, where it pays for so many points."""
    return compiled(f"operators.{name}") if points >= COMPILED_FROM else None


def largest_square(X: np.ndarray, kernel: RadialKernel) -> np.floating:
    """The squared distance up to which points are neighbours, as the kernel itself computes it."""
    reach = kernel.reach(X)
    with np.errstate(over="ignore"):
        return X.dtype.type(reach * reach)


def _evaluate(square: np.ndarray, X: np.ndarray, kernel: RadialKernel) -> bool:
    """Put the kernel in the place of the squared distances; whether none of its values is zero."""
    compiled_loops = loops("compiled_loops", len(X))
    profile = None if compiled_loops is None else profile_of(kernel, X)

    def evaluated(first: int) -> bool:
        part = square[first : first + EVALUATED]
        if compiled_loops is not None and profile is not None:
            compiled_loops.profile(profile.kind, profile.a, profile.cut, part)
            part *= profile.constant
        else:
            with np.errstate(over="ignore", invalid="ignore"):  # the result is checked instead
                part[...] = kernel.constant * kernel.unscaled(part)
        low, high = np.min(part), np.max(part)
        if not (np.isfinite(low) and np.isfinite(high)):
            raise NonFiniteError("the kernel gave NaN or infinity", got=repr(kernel))
        return bool(low > 0 or np.all(part))

    return all([*in_order(evaluated, range(0, len(square), EVALUATED))])
