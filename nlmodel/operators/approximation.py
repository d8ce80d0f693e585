"""What an approximated affinity may and may not be used for: row sums that exceed their own error."""

from __future__ import annotations

import math

import numpy as np

from nlmodel._arrays import Array, check_number, namespace, scalar, to_numpy
from nlmodel.errors import DomainError, NormalizationError


def check_tolerance(tol: float) -> float:
    """Return `tol` when it is a number in (0, 1)."""
    return check_number(tol, "tol", above=0.0, below=1.0)


def check_reached(bound: float, tol: float, dtype: object, why: str) -> None:
    """Raise unless the error bound that was reached is at most `tol`."""
    if not bound <= tol:
        raise DomainError(
            f"tol must be one that {dtype} allows, here at least {math.nextafter(bound, math.inf):.2g}",
            got=f"{tol:g}",
            why=why,
            fix="raise tol, pass the points in float64, or use an exact storage",
        )


def check_above_error(sums: Array, error: Array, weights: Array) -> None:
    """Raise unless every approximate row sum exceeds the bound of its own error.

    `weights` are what is summed, in units of the diagonal of the affinity: a row sum is at least its own one.
    """
    xp = namespace(sums)
    if bool(xp.all(sums > error)):
        return
    share = to_numpy(weights / xp.sum(weights, axis=-1, keepdims=True))
    enough = float(np.min(share)) / 2
    can = f"tol={enough:.1e} or less suffices; or " if enough > np.finfo(share.dtype).eps else ""
    bad = to_numpy(xp.astype(xp.logical_not(sums > error), sums.dtype)).nonzero()
    row = tuple(int(index[0]) for index in bad)
    raise NormalizationError(
        "every row sum of an approximate affinity must exceed the bound of its error",
        got=f"row {row[-1] if len(row) == 1 else row}: {scalar(sums[row]):.6g} with an error of up to"
        f" {scalar(error[row]):.6g} ({len(bad[0])} such row{'s' * (len(bad[0]) > 1)})",
        why="K = D^{-1} omega divides by it, and nothing would be left of the averages of that row",
        fix=f"{can}use an exact storage",
    )
