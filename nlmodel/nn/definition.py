"""The averaging matrix K of a kernel and a normalisation: array-API code without any branching on values.

Everything fast in this package stands for these lines, and is tested to be equal to them.
"""

from __future__ import annotations

from nlmodel._arrays import Array, eps, log_sum_exp, namespace
from nlmodel.kernels import Kernel


NORMALIZATIONS = ("softmax", "row", "size", "symmetric", "none")


def averaging_matrix(kernel: Kernel, left: Array, right: Array, how: str) -> tuple[Array, Array]:
    """K of a kernel between two sets of features, and the rates r that the difference form subtracts.

        K_ij = omega_ij / C_i,   C_i = sum_j omega_ij          "row", and "softmax" where omega = exp(...)
        K_ij = omega_ij / N                                     "size": Wang et al. 2018, eqs (4), (5)
        K_ij = omega_ij / sqrt(C_i C_j)                         "symmetric"
        K_ij = omega_ij                                         "none"

    Tao et al. 2018, eqs (1), (4).  The generator is L = K - diag(r) with r_i = sum_j K_ij, so that L 1 = 0, but
    for "symmetric", where r_i = 1.  A row with |C_i| <= 4 eps sum_j |omega_ij|, whose sum is but rounding, has
    K_ij = 0 and r_i = 0 under "row" and "symmetric": such a position sees nobody and stays as it is.

    Parameters
    ----------
    kernel : omega; only its bare definition is used.
    left : (..., M, D) array, the receivers i.
    right : (..., N, D) array, the senders j.
    how : one of `NORMALIZATIONS`; "symmetric" needs M = N and omega >= 0.

    Returns  (..., M, N) array K and (..., M, 1) array r.
    Accuracy row sums of exponential kernels cannot overflow; under "softmax" and "row" the rows of K sum to one
             within 2 N eps, however large the logits.
    Cost     O(M N D) time, O(M N) memory.
    """
    if kernel.exponential:
        return _of_logarithms(kernel.log_evaluate(left, right), how)
    return _of_values(kernel.evaluate(left, right), how)


def reciprocal(total: Array, size: Array) -> tuple[Array, Array]:
    """1/C_i and 1, or 0 and 0 where |C_i| <= 4 eps size_i; size_i >= sum_j |omega_ij| tells what is rounding."""
    xp = namespace(total)
    present = xp.abs(total) > 4 * eps(total) * size
    one, zero = xp.ones_like(total), xp.zeros_like(total)
    return xp.where(present, one / xp.where(present, total, one), zero), xp.where(present, one, zero)


def reciprocal_root(total: Array) -> tuple[Array, Array]:
    """1/sqrt(C_i) and 1, or 0 and 0 where C_i = 0; for affinities that are nowhere negative."""
    xp = namespace(total)
    one, zero = xp.ones_like(total), xp.zeros_like(total)
    root = xp.sqrt(xp.where(total > 0, total, one))
    return xp.where(total > 0, one / root, zero), xp.where(total > 0, one, zero)


def _of_logarithms(logits: Array, how: str) -> tuple[Array, Array]:
    xp = namespace(logits)
    if how in ("size", "none"):
        return _of_values(xp.exp(logits), how)
    rate = xp.ones_like(logits[..., :, :1])
    if how == "symmetric":
        log_degree = log_sum_exp(logits)[..., :, None]
        return xp.exp(logits - (log_degree + xp.matrix_transpose(log_degree)) / 2), rate
    omega = xp.exp(logits - xp.max(logits, axis=-1, keepdims=True))  # one factor a row, which cancels
    return omega / xp.sum(omega, axis=-1, keepdims=True), rate


def _of_values(omega: Array, how: str) -> tuple[Array, Array]:
    xp = namespace(omega)
    total = xp.sum(omega, axis=-1, keepdims=True)
    if how == "row":
        inverse, rate = reciprocal(total, xp.sum(xp.abs(omega), axis=-1, keepdims=True))
        return omega * inverse, rate
    if how == "symmetric":
        root, rate = reciprocal_root(total)
        return root * omega * xp.matrix_transpose(root), rate
    share = 1.0 / omega.shape[-1] if how == "size" else 1.0
    return omega * share, total * share
