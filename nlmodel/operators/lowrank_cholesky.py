"""Few landmarks that speak for all positions: the pivoted Cholesky factorisation of a semidefinite matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nlmodel.errors import DomainError
from nlmodel.operators.approximation import check_reached


LARGEST = 2**31  # bytes that the factor may take
FIRST = 64  # columns; doubled when they are full


@dataclass(frozen=True, eq=False, repr=False)
class PivotedCholesky:
    """C = U U^T + R with R positive semidefinite, U of few columns.

        |R_ij| <= sqrt(r_i r_j),   r the diagonal of R               Harbrecht, Peters and Schneider 2012

    Attributes
    ----------
    factor : (M, r) U.
    pivots : (r,) the landmarks, in the order in which they were taken.
    remainder : (M,) r_i, >= 0.
    error_bound : of every |C_ij - (U U^T)_ij|: max_i r_i and what rounding leaves.
    """

    factor: np.ndarray
    pivots: np.ndarray
    remainder: np.ndarray
    error_bound: float

    def __repr__(self) -> str:
        return f"PivotedCholesky(shape={self.factor.shape}, error_bound={self.error_bound:.2g})"


def pivoted_cholesky(
    column: Callable[[int], np.ndarray], diagonal: np.ndarray, tol: float, noise: float = 1.0
) -> PivotedCholesky:
    """Take the position with the largest r_i as the next landmark until none exceeds `tol`.

    Parameters
    ----------
    column : of C, by its index, (M,) in the precision of the diagonal.
    diagonal : (M,) C_ii, in [0, 1].
    noise : relative error of the entries of C, in units of eps.

    Raises   DomainError: C is not semidefinite, `tol` is below rounding, or more than 2 GiB of landmarks are needed.
    Accuracy |C - U U^T| <= max_i r_i + 4 (r + noise) eps, the second part for rounding.
    Cost     r columns of C and O(M r^2) time, O(M r) memory.
    """
    size, unit = len(diagonal), float(np.finfo(diagonal.dtype).eps)
    remainder, pivots = diagonal.copy(), []
    rows = np.empty((min(FIRST, size), size), dtype=diagonal.dtype)
    while True:
        rank, pivot = len(pivots), int(np.argmax(remainder))
        rounding = 4 * (rank + noise) * unit
        largest = float(remainder[pivot])
        if largest + rounding <= tol:
            break
        check_reached(rounding, tol, diagonal.dtype, "entries of the affinity and sums over landmarks are rounded")
        if rank == len(rows):
            rows = _longer(rows, largest)
        row = rows[rank]
        np.subtract(column(pivot), rows[:rank, pivot] @ rows[:rank], out=row)
        row /= np.sqrt(remainder[pivot])
        row[pivots] = 0
        remainder -= row * row
        remainder[pivot] = 0
        pivots.append(pivot)
        _check_semidefinite(remainder, tol + rounding)
        np.maximum(remainder, 0, out=remainder)
    return PivotedCholesky(rows[:rank].T.copy(), np.array(pivots, dtype=int), remainder, largest + rounding)


def _longer(rows: np.ndarray, largest: float) -> np.ndarray:
    """Twice as many rows, at most one for every position and what memory holds."""
    have, size = rows.shape
    count = min(2 * have, size, LARGEST // (size * rows.itemsize))
    if count <= have:
        raise DomainError(
            f"the landmarks must fit into {LARGEST / 2**30:.3g} GiB",
            got=f"{have} of {size} positions, which leave an error of {largest:.2g}",
            why="the affinity is not of low rank: its scale is small against the distances of the points",
            fix='raise tol or the scale, or use storage="sparse" or storage="streamed"',
        )
    return np.concatenate([rows, np.empty((count - have, size), dtype=rows.dtype)])


def _check_semidefinite(remainder: np.ndarray, slack: float) -> None:
    if (smallest := float(np.min(remainder))) < -slack:
        raise DomainError(
            "lowrank storage needs a positive semidefinite affinity",
            got=f"a remainder with the diagonal entry {smallest:.3g}",
            why="a landmark bounds the others only in a semidefinite matrix",
            fix='mend the declaration of the kernel, or use storage="streamed"',
        )
