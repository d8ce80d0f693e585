"""The symmetric Sinkhorn scaling, in the log domain."""

from __future__ import annotations

import math

from nlmodel._arrays import Array, eps, namespace, scalar
from nlmodel.errors import ConvergenceError, DomainError, NormalizationError
from nlmodel.normalization.row_sums import RowSums


ITERATIONS = 10_000
PATIENCE = 200  # iterations without progress


def sinkhorn(sums: RowSums, b: Array, log_degree: Array, *, symmetric: bool, nonnegative: bool) -> Array:
    """u with exp(u_i) sum_j omega_ij w_j exp(u_j) = 1, by u <- (u - log sum_j omega_ij w_j exp(u_j)) / 2.

    The undamped update u <- -log(...) oscillates between two scalings and does not converge.

    Accuracy |log row sum| <= 64 eps, or 4 eps max|u| where that is more: no better is left of exp(u).
    """
    if not (symmetric and nonnegative):
        raise DomainError(
            "sinkhorn needs a symmetric, nonnegative affinity",
            got="one that is not symmetric" if not symmetric else "one with negative entries",
            why="one scaling d on both sides can then make rows and columns sum to one",
            fix="use an embedding with theta = phi, or average omega with its transpose",
        )
    xp = namespace(log_degree)
    u, residual, best, stalled = -log_degree / 2, math.inf, math.inf, 0
    wanted = eps(u) * max(64.0, 4 * scalar(xp.max(xp.abs(u))))
    for _ in range(ITERATIONS):
        try:
            log_sum = u + sums.log_row_sums(u + b)
        except NormalizationError:  # the scalings drifted apart until the smaller ones underflowed
            break
        residual = scalar(xp.max(xp.abs(log_sum)))
        if residual <= wanted:
            return u
        stalled = stalled + 1 if residual > 0.999 * best else 0
        best = min(best, residual)
        if stalled > PATIENCE:
            break
        u = u - log_sum / 2
    raise ConvergenceError(
        "the symmetric Sinkhorn iteration did not converge",
        got=f"largest |log row sum| {residual:.3g}, wanted {wanted:.3g}",
        why="an affinity without total support (a star of neighbours without self-affinity, say) has no doubly"
        " stochastic scaling, and a nearly disconnected one converges very slowly",
        fix='add self-affinity, enlarge the bandwidth, or use normalize="row"',
    )
