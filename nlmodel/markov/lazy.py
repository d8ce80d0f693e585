"""Chains that stay put part of the time: the honest discrete form of a jump process."""

from __future__ import annotations

from typing import Any

import numpy as np

from nlmodel._arrays import check_number
from nlmodel.errors import DomainError
from nlmodel.markov.checks import check_transition_matrix
from nlmodel.markov.door import as_matrix
from nlmodel.markov.matrix import (
    Matrix,
    add_diagonal,
    row_sums,
    scale,
    smallest_entry,
    sum_tolerance,
)


def lazy(P: Any, p: float) -> Matrix:
    """The chain that moves by P with probability p and else stays.

        p P + (1 - p) I

    For p <= 1/2 all its eigenvalues have real part >= 0 and it has no period.

    Parameters
    ----------
    P : (M, M) transition matrix, P_ij = probability of i -> j; an operator stands for its averaging matrix K.
    p : in (0, 1].

    Returns  (M, M) matrix in the storage and dtype of `P`.
    Raises   DomainError: P not a transition matrix, or p outside (0, 1].
    """
    A = check_transition_matrix(P)
    p = check_number(p, "p", above=0)
    if p > 1:
        raise DomainError("p must be <= 1", got=p, why="it is the probability of a move")
    moved = np.full(A.shape[0], p)
    return add_diagonal(scale(A, rows=moved), 1 - moved)


def lazy_completion(p: Any) -> Matrix:
    """The transition matrix of moves p_ij whose rows sum to at most 1: what is left over stays.

        P = p + diag(1 - p 1),     z(t) = p^T z(t') + (1 - p 1) z(t')

    Over a short time a jump process moves with total probability (t - t') x exit rate, which tends to 0: the
    form z(t) = p^T z(t') of Tao et al. 2018, eq. (22), needs row sums 1 and so excludes the limit t' -> t of
    eq. (21). This is the form that holds for both.

    Parameters
    ----------
    p : (M, M) dense or sparse matrix >= 0, p_ij = probability to move i -> j, row sums <= 1.

    Returns  (M, M) transition matrix in the storage and dtype of `p`.
    Raises   DomainError: a negative entry, or a row sum above 1.
    """
    A = as_matrix(p, "p", averaging=True)
    i, j, least = smallest_entry(A)
    if least < 0:
        raise DomainError("probabilities p_ij must be >= 0", got=f"p[{i}, {j}] = {least!r}")
    stays = 1 - row_sums(A)
    i = int(np.argmin(stays))
    if stays[i] < -sum_tolerance(A):
        raise DomainError(
            "every row of p must sum to at most 1",
            got=f"row {i} sums to {1 - stays[i]!s}",
            why="what stays would have negative probability",
            fix="shorten the time step: p = dt * rates",
        )
    return add_diagonal(A, np.maximum(stays, 0.0))
