"""Uniformisation: the jump process as a discrete chain at Poisson times; e^{tQ} as a sum of positive terms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nlmodel._arrays import check_number
from nlmodel.errors import DomainError
from nlmodel.markov.checks import check_field, check_generator
from nlmodel.markov.master_equation import largest_rate
from nlmodel.markov.matrix import Matrix, add_diagonal, as_dense, off_diagonal, row_sums, scale, transposed


def uniformized(Q: Any, *, rate: float | None = None) -> Matrix:
    """The transition matrix I + Q / rate: what happens at each tick of a Poisson clock that drives the process.

        e^{tQ} = sum_n e^{-rt} (rt)^n / n!  (I + Q/r)^n

    With rate = 1 / dt it is the matrix of the Euler step, Tao et al. 2018, eq. (21).

    Parameters
    ----------
    Q : (M, M) generator, Q_ij = rate of i -> j; an operator stands for L = K - diag(exit rate).
    rate : at least max_i |Q_ii|, which is the default.

    Returns  (M, M) transition matrix in the storage and dtype of `Q`.
    Raises   DomainError: a rate below max_i |Q_ii|, for which a diagonal entry would be negative.
    """
    A = check_generator(Q)
    return _uniformized(A, rate)


def _uniformized(A: Matrix, rate: float | None) -> Matrix:
    least = largest_rate(A)
    rate = (least or 1.0) if rate is None else check_number(rate, "rate", above=0)
    if rate < least:
        raise DomainError(
            f"rate must be at least max_i |Q_ii| = {least:.6g}",
            got=rate,
            why="I + Q / rate would have a negative entry",
        )
    moves = scale(off_diagonal(A), rows=np.full(A.shape[0], 1 / rate))
    return add_diagonal(moves, np.maximum(1 - row_sums(moves), 0.0))


def propagate(Q: Any, z: Any, t: float, *, tol: float | None = None) -> np.ndarray:
    """The density at time t by the Poisson series.

        z(t) = e^{tQ^T} z = sum_n e^{-rt} (rt)^n / n!  (P^T)^n z,     P = I + Q / r,     r = max_i |Q_ii|

    Terms are left out at both ends of the sum; the weights of those left out add up to at most `tol`.

    Parameters
    ----------
    Q : (M, M) generator, Q_ij = rate of i -> j; an operator stands for L = K - diag(exit rate).
    z : (M,) or (M, C) densities, in the dtype of Q.
    t : >= 0.
    tol : in (0, 1); default the machine epsilon of the dtype.

    Returns  array of the shape of `z`, nonnegative when z is.
    Raises   DomainError: negative t or tol outside (0, 1).
    Accuracy |result - z(t)|_1 <= tol |z|_1 by truncation, plus rounding of at most N n eps |z|_1, N the
             number of products and n the longest column.  For z >= 0 the mass that is missing is the
             truncation error.
    Cost     about rt + 9 sqrt(rt) + 20 products with P^T at the default tolerance; memory of two fields.
    """
    A = check_generator(Q)
    field = check_field(z, A, "z")
    t = check_number(t, "t", at_least=0)
    tol = float(np.finfo(A.dtype).eps) if tol is None else check_number(tol, "tol", above=0, below=1)
    step = transposed(_uniformized(A if A.dtype == np.float64 else A.astype(np.float64), None))
    first, weights = poisson_weights(largest_rate(A) * t, tol)
    term = field.astype(np.float64)
    for _ in range(first):
        term = step @ term
    total = weights[0] * term
    for weight in weights[1:]:
        term = step @ term
        total += weight * term
    return total.astype(A.dtype)


def transition_matrix(Q: Any, t: float) -> np.ndarray:
    """e^{tQ}: the probabilities of i -> j within time t, as a dense matrix.

        P(t) = P(t / 2^k)^(2^k)

    with 2^k >= t max_i |Q_ii|, the first factor by the Poisson series and rows divided by their sums after
    every squaring.  Only nonnegative numbers are added and multiplied: the result is a transition matrix to
    rounding.

    Parameters
    ----------
    Q : (M, M) generator, Q_ij = rate of i -> j; an operator stands for L = K - diag(exit rate).  A sparse one
        is unfolded up to 512 states; beyond, use `propagate`.
    t : >= 0.

    Returns  (M, M) array in the dtype of Q.
    Raises   DomainError: negative t, or a larger sparse chain.
    Accuracy a few M eps (1 + min(rt, r / gap)), r = max_i |Q_ii|.
    Cost     about 20 + log2(rt) products of M x M matrices.
    """
    A = check_generator(Q)
    t = check_number(t, "t", at_least=0)
    step = _uniformized(as_dense(A, "transition_matrix"), None)
    mean = largest_rate(A) * t
    halvings = max(0, math.ceil(math.log2(mean))) if mean > 0 else 0
    _, weights = poisson_weights(mean / 2**halvings, float(np.finfo(np.float64).eps) ** 2)
    P = np.zeros_like(step)
    for weight in weights[::-1]:
        P = P @ step
        P.flat[:: len(P) + 1] += weight
    for _ in range(halvings):
        P = P @ P
        P /= P.sum(axis=1, keepdims=True)
    return (P / P.sum(axis=1, keepdims=True)).astype(A.dtype)


def poisson_weights(mean: float, tol: float) -> tuple[int, np.ndarray]:
    """Consecutive weights e^{-mean} mean^n / n!, n = first, first + 1, ..., that leave out at most `tol`.

    Found by the recursion w_{n+1} = w_n mean / (n + 1) outwards from the largest and divided by their sum, so
    that nothing under- or overflows at any mean.
    """
    if mean == 0:
        return 0, np.ones(1)
    smallest = -math.log(np.finfo(np.float64).tiny)
    reach = smallest / 3 + math.sqrt((smallest / 3) ** 2 + 2 * smallest * mean)  # Bernstein: beyond, below 1e-308
    mode = math.floor(mean)
    bottom, top = max(0, math.ceil(mean - reach)), math.ceil(mean + reach)
    up = np.cumprod(mean / np.arange(mode + 1, top + 1))
    down = np.cumprod(np.arange(mode, bottom, -1) / mean)[::-1]
    weights = np.concatenate([down, [1.0], up])
    weights /= np.sum(weights)
    from_below, from_above = np.cumsum(weights), np.cumsum(weights[::-1])[::-1]
    left = int(np.searchsorted(from_below, tol / 2, side="right"))
    right = len(weights) - int(np.searchsorted(from_above[::-1], tol / 2, side="right"))
    return bottom + left, weights[left:right]
