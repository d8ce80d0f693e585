"""How much one step brings all starting points together: the coefficients of Dobrushin and of Birkhoff."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import issparse

from nlmodel.markov.checks import check_transition_matrix
from nlmodel.markov.matrix import Matrix


BLOCK_STATES = 512  # rows unfolded at a time


def dobrushin_coefficient(P: Any) -> float:
    """The factor by which one step shrinks differences, in the worst case.

        tau = (1/2) max_ij sum_k |P_ik - P_jk|
        max P f - min P f <= tau (max f - min f),     TV(P^T p, P^T q) <= tau TV(p, q)

    Parameters
    ----------
    P : (M, M) transition matrix, P_ij = probability of i -> j; an operator stands for its averaging matrix K.

    Returns  float in [0, 1]; 1 when two states have no common successor.
    Accuracy n eps, n the longest row.
    Cost     O(M^3), sparse rows unfolded 512 at a time; O(nnz) where a count of successors already shows two rows
             without a common one, the rule for large sparse chains.
    """
    from scipy.spatial.distance import cdist

    A = check_transition_matrix(P)
    if issparse(A) and _some_rows_disjoint(A):
        return 1.0
    worst, blocks = 0.0, range(0, A.shape[0], BLOCK_STATES)
    for top in blocks:
        rows = _unfolded(A, top)
        for other in blocks[: top // BLOCK_STATES + 1]:
            worst = max(worst, float(np.max(cdist(rows, _unfolded(A, other), "cityblock"))))
    return min(1.0, 0.5 * worst)


def birkhoff_bound(P: Any) -> float:
    """An upper bound of the Dobrushin coefficient from ratios of entries alone.

        tanh(Delta / 4),     Delta = max_ijkl log (P_ik P_jl / (P_il P_jk))

    the contraction of Hilbert's projective metric (Birkhoff 1957).

    Parameters
    ----------
    P : (M, M) transition matrix, P_ij = probability of i -> j; an operator stands for its averaging matrix K.

    Returns  float in [0, 1]; 1 as soon as a column has both a zero and a positive entry.
    Cost     O(M^3) for a dense positive P, M^2 numbers at a time.
    """
    A = check_transition_matrix(P)
    counts = _predecessors(A)
    if np.any((counts > 0) & (counts < A.shape[0])):
        return 1.0
    columns = np.flatnonzero(counts)
    positive = A[:, columns]
    logs = np.log((positive.toarray() if issparse(positive) else positive).astype(np.float64))
    diameter = 0.0
    for row in logs:
        ratio = logs - row
        diameter = max(diameter, float(np.max(np.max(ratio, axis=1) - np.min(ratio, axis=1))))
    return float(np.tanh(diameter / 4))


def _some_rows_disjoint(A: Matrix) -> bool:
    """Whether the pairs of states with a common successor are too few to be all pairs."""
    arrivals = _predecessors(A).astype(np.float64)
    return float(arrivals @ arrivals) < float(A.shape[0]) ** 2


def _predecessors(A: Matrix) -> np.ndarray:
    """The number of positive entries of each column."""
    return np.bincount(A.indices, minlength=A.shape[1]) if issparse(A) else np.count_nonzero(A, axis=0)


def _unfolded(A: Matrix, start: int) -> np.ndarray:
    """The rows of the block from `start`, dense, in float64."""
    rows = A[start : start + BLOCK_STATES]
    return (rows.toarray() if issparse(rows) else rows).astype(np.float64)
