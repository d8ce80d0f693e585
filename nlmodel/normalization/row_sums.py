"""Row sums of an affinity: all that a normalisation asks of a representation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from nlmodel._arrays import Array, namespace, to_numpy
from nlmodel.errors import NormalizationError


class RowSums(Protocol):
    """What a representation of omega must offer to be normalised."""

    def row_sums(self, weights: Array) -> Array:
        """sum_j omega_ij w_j, shape (..., M)."""
        ...

    def log_row_sums(self, log_weights: Array) -> Array:
        """log sum_j omega_ij exp(b_j), shape (..., M); `NormalizationError` where the sum is not positive."""
        ...


def log_of_row_sums(row_sums: Callable[[Array], Array], log_weights: Array) -> Array:
    """log of sum_j omega_ij exp(b_j) through the linear `row_sums`, shifted so that exp(b) cannot overflow."""
    xp = namespace(log_weights)
    shift = xp.max(log_weights, axis=-1, keepdims=True)
    sums = row_sums(xp.exp(log_weights - shift))
    positive = sums > 0
    check_positive(sums, positive)
    return xp.log(sums) + shift


def check_positive(sums: Array, positive: Array) -> Array:
    """Return `sums`, or name the first row that is not `positive`."""
    xp = namespace(sums)
    if not bool(xp.all(positive)):
        bad = (~to_numpy(positive)).nonzero()
        row = tuple(int(index[0]) for index in bad)
        raise NormalizationError(
            "every row sum of the affinity must be positive",
            got=f"row {row[-1] if len(row) == 1 else row}: {float(to_numpy(sums)[row]):.6g}"
            f" ({len(bad[0])} such row{'s' * (len(bad[0]) > 1)})",
            why="K = D^{-1} omega divides by it",
            fix='for the dot product divide by the number of positions instead (normalize="none", weights=1/M), or use'
            " a nonnegative affinity; for an isolated position widen the horizon or drop it",
        )
    return sums
