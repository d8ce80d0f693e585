"""The averaging matrix K of a kernel and a normalisation: array-API code without any branching on values.

Everything fast in this package stands for these lines, and is tested to be equal to them.
"""

from __future__ import annotations

from nlmodel._arrays import Array, eps, namespace
from nlmodel.kernels import DotProduct, Kernel


NORMALIZATIONS = ("softmax", "row", "size", "symmetric", "none")


def averaging_matrix(kernel: Kernel, left: Array, right: Array, how: str) -> tuple[Array, Array]:
    """K of a kernel between two sets of features, and the rates r that the difference form subtracts.

        K_ij = omega_ij / C_i,   C_i = sum_j omega_ij          "row", and "softmax" where omega = exp(...)
        K_ij = omega_ij / N                                     "size": Wang et al. 2018, eqs (4), (5)
        K_ij = omega_ij / sqrt(C_i C_j)                         "symmetric"
        K_ij = omega_ij                                         "none"

    Tao et al. 2018, eqs (1), (4).  The generator is L = K - diag(r) with r_i = sum_j K_ij, so that L 1 = 0, but
    for "symmetric", where r_i = 1.  A row with |C_i| <= 4 eps size_i, whose sum is but rounding, has K_ij = 0 and
    r_i = 0 under "row" and "symmetric": such a position sees nobody and stays as it is.  Of scalar products the size
    is sum_j sum_d |x_id y_jd|, which needs no matrix; of affinities that are nowhere negative it is C_i.

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
    sizes = product_sizes(left, right) if how == "row" and isinstance(kernel, DotProduct) else None
    return _of_values(kernel.evaluate(left, right), how, sizes)


def product_sizes(left: Array, right: Array) -> Array:
    """sum_j sum_d |x_id y_jd|, (..., M, 1): what the rounding of sum_j x_i . y_j is relative to."""
    xp = namespace(left, right)
    return xp.sum(xp.abs(left) * xp.sum(xp.abs(right), axis=-2, keepdims=True), axis=-1, keepdims=True)


def reciprocal(total: Array, size: Array) -> tuple[Array, Array]:
    """1/C_i and 1, or 0 and 0 where |C_i| <= 4 eps size_i; size_i >= |C_i| tells what is rounding."""
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
    rate, top = xp.ones_like(logits[..., :, :1]), xp.max(logits, axis=-1, keepdims=True)
    omega = xp.exp(logits - top)  # one factor a row, which cancels
    total = xp.sum(omega, axis=-1, keepdims=True)
    if how == "symmetric":
        log_degree = xp.log(total) + top
        return xp.exp(logits - (log_degree + xp.matrix_transpose(log_degree)) / 2), rate
    return omega / total, rate


def _of_values(omega: Array, how: str, sizes: Array | None = None) -> tuple[Array, Array]:
    xp = namespace(omega)
    total = xp.sum(omega, axis=-1, keepdims=True)
    if how == "row":
        inverse, rate = reciprocal(total, total if sizes is None else sizes)
        return omega * inverse, rate
    if how == "symmetric":
        root, rate = reciprocal_root(total)
        return root * omega * xp.matrix_transpose(root), rate
    share = 1.0 / omega.shape[-1] if how == "size" else 1.0
    return omega * share, total * share
