"""How large the powers of a matrix get: transient growth, measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmodel._arrays import Array, check_count
from nlmodel.errors import ConvergenceError
from nlmodel.spectrum._guards import matrix


def power_bound(G: Array, n: int) -> float:
    """Largest norm among the first powers, max_{0 <= k <= n} ||G^k||_2.

    Parameters
    ----------
    G : (N, N) real or complex floating array.
    n : >= 0.

    Returns  float, at least 1; inf when a power overflows.
    Raises   ShapeError / DtypeError / NonFiniteError / DomainError.
    Accuracy relative error O(n N eps) for the powers that set it.
    Cost     n products and norms of size N.
    """
    G, n = matrix(G, "G"), check_count(n, "n")
    power, largest = np.eye(len(G), dtype=G.dtype), 1.0
    for _ in range(n):
        with np.errstate(over="ignore", invalid="ignore"):
            power = power @ G
        if not np.all(np.isfinite(power)):
            return float("inf")
        largest = max(largest, float(np.linalg.norm(power, 2)))
    return largest


@dataclass(frozen=True)
class TransientPeak:
    """sup_n ||G^n|| = `value`, first reached at power `at`; proved because ||G^proof|| <= 1."""

    value: float
    at: int
    proof: int


def transient_peak(G: Array, *, max_power: int = 10_000) -> TransientPeak:
    """Largest norm among ALL powers, sup_n ||G^n||_2, with proof.

    As soon as ||G^m|| <= 1 for one m >= 1, no later power exceeds the earlier ones: n = q m + j with j < m gives
    ||G^n|| <= ||G^m||^q ||G^j||. Such an m exists whenever the spectral radius is below 1.

    Parameters
    ----------
    G : (N, N) real or complex floating array.
    max_power : where to give up.

    Returns  TransientPeak.
    Raises   ShapeError / DtypeError / NonFiniteError / DomainError; ConvergenceError when no power up to
        `max_power` has norm <= 1.
    Accuracy relative error O(m N eps).
    Cost     m products and norms of size N.
    """
    G = matrix(G, "G")
    power, value, at = np.eye(len(G), dtype=G.dtype), 1.0, 0
    for m in range(1, check_count(max_power, "max_power", at_least=1) + 1):
        with np.errstate(over="ignore", invalid="ignore"):
            power = power @ G
        norm = float(np.linalg.norm(power, 2)) if np.all(np.isfinite(power)) else np.inf
        if norm <= 1:
            return TransientPeak(value, at, m)
        if norm == np.inf:
            break
        if norm > value:
            value, at = norm, m
    raise ConvergenceError(
        "no power of G has norm <= 1",
        got=f"largest norm {value:.3e} at power {at}",
        why="a finite supremum is proved only when some power is a contraction",
        fix="raise max_power, or use power_bound(G, n) for a bound on the first n powers",
    )
