"""The stationary law: in closed form where detailed balance holds, else by elimination without cancellation."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import issparse

from nlmodel.errors import ConvergenceError
from nlmodel.markov.balance import balance
from nlmodel.markov.checks import check_chain
from nlmodel.markov.classes import several_classes, the_recurrent_class
from nlmodel.markov.matrix import (
    DENSE_STATES,
    Matrix,
    Sparse,
    as_csr,
    as_dense,
    off_diagonal,
    restricted,
    row_sums,
    symmetric_lu,
    with_diagonal,
)
from nlmodel.testing import tolerance


def stationary(P: Any, *, log: bool = False) -> np.ndarray:
    """The law that the chain keeps.

        pi^T P = pi^T     or     pi^T Q = 0,     sum_i pi_i = 1

    A reversible chain has the closed form pi_j = pi_i P_ij / P_ji along the edges of a spanning tree; it is
    taken when every other edge agrees with it.  Otherwise: the elimination of Grassmann, Taksar and Heyman
    (1985) for dense chains and sparse ones of at most 512 states, a sparse LU factorisation with symmetric
    ordering for larger ones.

    Parameters
    ----------
    P : (M, M) transition matrix (rows sum to 1) or generator (rows sum to 0), row i = from; an operator
        stands for its generator, whose law is that of its averaging matrix.
    log : return log pi, which does not underflow.

    Returns  (M,) array in the dtype of P; 0 (or -inf) on transient states.
    Raises   DomainError: several recurrent classes, named by number.  ConvergenceError: an LU solution that
             is not stationary, or a law beyond the range of float64 in a chain that is not reversible.
    Accuracy relative in every entry, however small: about 4 (depth of the tree) eps |log| for the closed
             form, 2 M^2 eps worst case for the elimination; for the sparse LU relative to the largest entry.
    Cost     O(nnz) in closed form, O(M^3) dense elimination, the fill of the factors for the sparse one.
    """
    A, _ = check_chain(P)
    logs = log_stationary(A)
    return (logs if log else np.exp(logs)).astype(A.dtype)


def log_stationary(A: Matrix) -> np.ndarray:
    """log pi of a checked chain, in float64."""
    found = balance(A)
    if found.holds and found.log_measure is not None:
        if found.components > 1:
            raise several_classes(found.components)
        return found.log_measure - _log_sum(found.log_measure)
    M = A.shape[0]
    states = np.arange(M) if not issparse(A) and np.all(A) else the_recurrent_class(as_csr(A))
    if len(states) < M:
        logs = np.full(M, -np.inf)
        logs[states] = log_stationary(restricted(A, states))
        return logs
    dense = not issparse(A) or M <= DENSE_STATES
    logs = np.log(eliminate(as_dense(off_diagonal(A), "elimination")) if dense else _solve(off_diagonal(as_csr(A))))
    return logs - _log_sum(logs)


def eliminate(rates: np.ndarray) -> np.ndarray:
    """The stationary measure of an irreducible chain by state elimination (Grassmann, Taksar, Heyman 1985).

    State n is removed and its moves are sent on: A_ij += A_in A_nj / sum_{k < n} A_nk.  The diagonal is never
    used, so nothing is subtracted and every entry keeps its relative accuracy.
    """
    A, law = rates.copy(), np.ones(len(rates))
    with np.errstate(all="ignore"):
        for n in range(len(A) - 1, 0, -1):
            A[:n, n] /= np.sum(A[n, :n])
            A[:n, :n] += np.outer(A[:n, n], A[n, :n])
        for n in range(1, len(A)):
            law[n] = law[:n] @ A[:n, n]
    if not (np.all(np.isfinite(law)) and np.min(law) > 0):
        raise ConvergenceError(
            "the stationary law must fit into the range of float64",
            got=f"entries from {np.min(law):.1e} to {np.max(law):.1e} before normalisation",
            why="the chain is not reversible, so that its law has no closed form in logarithms",
        )
    return law


def _solve(moves: Sparse) -> np.ndarray:
    """The stationary measure from (D - A + e_k e_k^T)^T x = e_k, with D the row sums of the moves A.

    pi^T (D - A) = 0 gives pi^T (D - A + e_k e_k^T) = pi_k e_k^T, so x is proportional to pi.  The matrix is
    diagonally dominant by rows: no pivoting, so that a symmetric ordering keeps the factors sparse.  A state
    k that is rarely visited makes it nearly singular; then the most visited one is taken.
    """
    exits = row_sums(moves)
    k = int(np.argmax(moves.sum(axis=0) / exits))
    law = _solve_from(moves, exits, k)
    if law[k] < 0.01 * np.max(law):
        law = _solve_from(moves, exits, int(np.argmax(law)))
    residual = float(np.sum(np.abs(moves.T @ law - exits * law)))
    allowed = tolerance("solve", n=len(exits), scale=float(exits @ np.abs(law)))
    if residual > allowed or np.min(law) <= 0:
        raise ConvergenceError(
            "the sparse factorisation gave no stationary law",
            got=f"residual {residual:.1e} above {allowed:.1e}, smallest entry {np.min(law):.1e}",
            why="the chain nearly falls apart into several classes",
            fix="pass P.toarray(): the dense elimination has no cancellation",
        )
    return law


def _solve_from(moves: Sparse, exits: np.ndarray, k: int) -> np.ndarray:
    law = factorize(moves, exits, k).solve(np.eye(1, len(exits), k)[0])
    return law / np.sum(np.abs(law))


def factorize(moves: Sparse, exits: np.ndarray, k: int) -> Any:
    """Sparse LU of diag(exits) - moves^T + exits_k e_k e_k^T, without pivoting, in a symmetric ordering.

    The diagonal of `moves` does not count.
    """
    diagonal = exits.copy()
    diagonal[k] *= 2
    try:
        return symmetric_lu(with_diagonal(-moves, diagonal))
    except RuntimeError as error:
        raise ConvergenceError(
            "the chain has no sparse factorisation",
            got=str(error),
            why="to rounding it falls apart into several classes",
            fix="pass P.toarray(), or study its nearly closed classes one by one",
        ) from error


def _log_sum(logs: np.ndarray) -> float:
    top = float(np.max(logs))
    return top + float(np.log(np.sum(np.exp(logs - top))))
