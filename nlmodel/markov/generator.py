"""Generators of jump processes, from rates and from transition matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from nlmodel._arrays import check_array, check_number, to_numpy
from nlmodel.errors import DomainError, DtypeError, ShapeError
from nlmodel.markov.checks import check_transition_matrix
from nlmodel.markov.door import as_matrix
from nlmodel.markov.matrix import (
    Matrix,
    add_diagonal,
    off_diagonal,
    row_sums,
    scale,
    smallest_entry,
)


def generator(rates: Any, *, weights: Any = None) -> Matrix:
    """The generator of the jump process with the given rates.

        Q_ij = gamma_ij w_j  (i != j),     Q_ii = -sum_{j != i} Q_ij          Tao et al. 2018, eq. (20)

    Row convention: Q_ij is the rate of i -> j, densities obey dz/dt = Q^T z and observables df/dt = Q f.

    Parameters
    ----------
    rates : gamma, (M, M) dense or sparse matrix >= 0 off the diagonal, float64 or float32; its diagonal is ignored.
        An operator stands for its averaging matrix K.
    weights : (M,) quadrature weights > 0 in the same dtype, for gamma a density of jump rates; default 1.

    Returns  (M, M) matrix in the storage and dtype of `rates`.
    Raises   DomainError: a negative rate or a weight that is not positive.
    Accuracy every row sums to 0 within n eps |Q_ii|, n the longest row.
    Cost     O(nnz).
    """
    moves = off_diagonal(as_matrix(rates, "rates", averaging=True))
    i, j, least = smallest_entry(moves)
    if least < 0:
        raise DomainError(
            "rates must be >= 0 off the diagonal",
            got=f"rates[{i}, {j}] = {least!r}",
            why="a rate is a number of jumps a unit of time",
        )
    if weights is not None:
        moves = scale(moves, columns=_check_weights(weights, moves))
    return add_diagonal(moves, -row_sums(moves))


def generator_from_transition(P: Any, *, holding_time: float = 1.0) -> Matrix:
    """The jump process that waits an exponential time of the given mean and then moves by P.

        Q = (P - I) / tau                                                     Tao et al. 2018, eq. (24)

    Parameters
    ----------
    P : (M, M) transition matrix, P_ij = probability of i -> j; an operator stands for its averaging matrix K.
    holding_time : tau > 0.

    Returns  (M, M) matrix in the storage and dtype of `P`; its diagonal is minus the sum of the other entries of the
             row, so that rows sum to 0 even where P_ii is nearly 1.
    Cost     O(nnz).
    """
    A = check_transition_matrix(P)
    moves = scale(off_diagonal(A), rows=np.full(A.shape[0], 1 / check_number(holding_time, "holding_time", above=0)))
    return add_diagonal(moves, -row_sums(moves))


def _check_weights(weights: Any, A: Matrix) -> np.ndarray:
    w = to_numpy(check_array(weights, "weights", ndim=1))
    if w.shape[0] != A.shape[0]:
        raise ShapeError("weights must have one entry a state", got=f"shape {w.shape} for {A.shape[0]} states")
    if w.dtype != A.dtype:
        raise DtypeError("weights and rates must share their dtype", got=f"{w.dtype} and {A.dtype}")
    if np.min(w) <= 0:
        raise DomainError("weights must be > 0", got=f"{np.min(w)!s}", why="they are volumes of cells")
    return w
