"""Transition matrices and generators told from others: no negative entry passes, rows add up to rounding."""

from __future__ import annotations

from typing import Any

import numpy as np

from nlmodel._arrays import check_array, check_number, to_numpy
from nlmodel.errors import DomainError, DtypeError, ShapeError
from nlmodel.markov.door import as_matrix
from nlmodel.markov.matrix import SHORTEST_SUM, Matrix, off_diagonal, row_sums, smallest_entry, sum_tolerance
from nlmodel.testing import tolerance


def is_transition_matrix(P: Any, *, tol: float | None = None) -> bool:
    """Whether P is a row-stochastic matrix, P_ij = probability of i -> j.

        P_ij >= 0,     |sum_j P_ij - 1| <= tol

    Parameters
    ----------
    P : (M, M) dense or sparse matrix, float64 or float32; an operator stands for its averaging matrix K.
    tol : for the row sums; default 4 n eps with n the longest row, at least 16.  Signs have no tolerance.

    Returns  bool.
    Raises   ShapeError, DtypeError, NonFiniteError when P is not a finite square real matrix.
    Cost     O(nnz); sparse stays sparse.
    """
    return _transition_fault(as_matrix(P, "P", averaging=True), "P", tol) is None


def is_generator(Q: Any, *, tol: float | None = None) -> bool:
    """Whether Q is the generator of a jump process, Q_ij = rate of i -> j.

        Q_ij >= 0 for i != j,     |sum_j Q_ij| <= tol |Q_ii|

    Parameters, returns, raises and cost as in `is_transition_matrix`; an operator stands for its generator L.
    """
    return _generator_fault(as_matrix(Q, "Q"), "Q", tol) is None


def check_transition_matrix(P: Any, name: str = "P", *, tol: float | None = None) -> Matrix:
    """P as an array or `csr_array` if it is a transition matrix; else `DomainError` naming the worst entry or row."""
    A = as_matrix(P, name, averaging=True)
    fault = _transition_fault(A, name, tol)
    if fault is not None:
        raise fault
    return A


def check_generator(Q: Any, name: str = "Q", *, tol: float | None = None) -> Matrix:
    """Q as an array or `csr_array` if it is a generator; else `DomainError` naming the worst entry or row."""
    A = as_matrix(Q, name)
    fault = _generator_fault(A, name, tol)
    if fault is not None:
        raise fault
    return A


def check_chain(A: Any, name: str = "P") -> tuple[Matrix, bool]:
    """The matrix, and whether it is a generator (row sums 0) and not a transition matrix (row sums 1)."""
    B = as_matrix(A, name)
    sums = row_sums(B)
    rates = bool(np.max(sums) < 0.5 and (np.min(B.diagonal()) < 0 or not np.any(sums)))
    fault = _generator_fault(B, name, None) if rates else _transition_fault(B, name, None, sums)
    if fault is not None:
        raise fault
    return B, rates


def check_law(p: Any, name: str, size: int) -> np.ndarray:
    """`p` as a NumPy vector when it is a probability law on `size` states."""
    law = to_numpy(check_array(p, name, ndim=1))
    if law.shape != (size,):
        raise ShapeError(f"{name} must have one entry a state", got=f"shape {law.shape} for {size} states")
    at = int(np.argmin(law))
    if law[at] < 0:
        raise DomainError(f"{name} must be >= 0", got=f"{name}[{at}] = {law[at]!s}")
    total = float(np.sum(law, dtype=np.float64))
    if abs(total - 1) > tolerance("reduction", law.dtype, n=max(size, SHORTEST_SUM)):
        raise DomainError(f"{name} must sum to 1", got=f"{total!r}", fix=f"pass {name} / {name}.sum()")
    return law


def check_field(z: Any, A: Matrix, name: str) -> np.ndarray:
    """`z` as a NumPy array of shape (M,) or (M, C) in the dtype of the chain A."""
    field = to_numpy(check_array(z, name, min_ndim=1))
    if field.ndim > 2 or field.shape[0] != A.shape[0]:
        raise ShapeError(
            f"{name} must have shape (M,) or (M, C) with M = {A.shape[0]} states", got=f"shape {field.shape}"
        )
    if field.dtype != A.dtype:
        raise DtypeError(
            f"{name} and the chain must share their dtype",
            got=f"{field.dtype} and {A.dtype}",
            why="nothing is cast silently",
        )
    return field


def _transition_fault(A: Matrix, name: str, tol: float | None, sums: np.ndarray | None = None) -> DomainError | None:
    i, j, least = smallest_entry(A)
    if least < 0:
        return DomainError(
            f"probabilities {name}_ij must be >= 0",
            got=f"{name}[{i}, {j}] = {least!r}",
            why="a negative entry, however small, makes positive laws negative",
            fix="if rounding made it, set it to 0 and divide the row by its sum; rates belong in a generator",
        )
    sums = row_sums(A) if sums is None else sums
    allowed = sum_tolerance(A) if tol is None else check_number(tol, "tol", at_least=0)
    defect = np.abs(sums - 1)
    i = int(np.argmax(defect))
    if defect[i] <= allowed:
        return None
    columns = np.max(np.abs(row_sums(A.T) - 1)) <= allowed
    return DomainError(
        f"every row of {name} must sum to 1 within {allowed:.1e}",
        got=f"row {i} sums to {sums[i]!s}",
        why="row i holds the probabilities of all moves from state i",
        fix="its columns sum to 1: pass the transpose" if columns else "divide each row by its sum, or pass tol=",
    )


def _generator_fault(A: Matrix, name: str, tol: float | None) -> DomainError | None:
    i, j, least = smallest_entry(off_diagonal(A))
    if least < 0:
        return DomainError(
            f"rates {name}_ij, i != j, must be >= 0",
            got=f"{name}[{i}, {j}] = {least!r}",
            why="a negative rate makes positive laws negative at once",
            fix="build it by generator(rates) from nonnegative rates",
        )
    sums, exits = row_sums(A), np.abs(A.diagonal().astype(np.float64))
    allowed = (sum_tolerance(A) if tol is None else check_number(tol, "tol", at_least=0)) * exits
    excess = np.abs(sums) - allowed
    i = int(np.argmax(excess))
    if excess[i] <= 0:
        return None
    return DomainError(
        f"every row of {name} must sum to 0 within {allowed[i]:.1e}",
        got=f"row {i} sums to {sums[i]!s}",
        why="what leaves a state must arrive somewhere: Q_ii = -sum of the other rates of row i",
        fix="build it by generator(rates), or by generator_from_transition(P) from a transition matrix",
    )
