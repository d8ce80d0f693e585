"""The ends of the spectrum of a Hermitian matrix from products with vectors alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nlmodel.errors import ConvergenceError


MOST_STEPS = 20_000


def spectrum_ends(
    apply: Callable[[np.ndarray], np.ndarray], size: int, *, tolerance: float, both: bool
) -> tuple[float, float]:
    """Smallest (0 unless `both`) and largest eigenvalue, each moved outwards by 4 `tolerance` max|eigenvalue|.

        A q_k = beta_{k-1} q_{k-1} + alpha_k q_k + beta_k q_{k+1}

    The ends of the spectrum of the tridiagonal matrix (beta, alpha, beta) approach those of A.  A Ritz value with unit
    eigenvector y of that matrix lies within beta_k |y_k| of an eigenvalue of A, also when rounding makes the q_k lose
    their orthogonality (Paige 1976), so three vectors are enough.  No restarts: they stall where the end is
    a tight cluster, as for smooth positive kernels, whose s crowd at 1.

    The start is random and fixed; it misses an end of the spectrum with probability zero.

    Parameters
    ----------
    tolerance : stop at residuals below `tolerance` times the largest |Ritz value|.  In a cluster narrower than that the
        end itself may lie a little beyond the Ritz value, hence four times as much outwards.

    Raises   ConvergenceError after 20,000 steps.
    Cost     one product and O(size) a step; at a tolerance of 1e-6 tens to hundreds of steps, more at a band edge
             that thins out.
    """
    q = np.random.default_rng(0).standard_normal(size)
    q, previous, alpha, beta = q / np.linalg.norm(q), np.zeros(size), [], []
    check, residual = 1, np.inf
    for k in range(1, MOST_STEPS + 1):
        v = apply(q) - (beta[-1] * previous if beta else 0.0)
        alpha.append(float(np.vdot(q, v).real))
        v = v - alpha[-1] * q
        beta.append(float(np.linalg.norm(v)))
        closed = beta[-1] <= 1e-3 * tolerance * max(np.max(np.abs(alpha)), np.max(beta))
        if k >= check or closed:
            check = k + max(4, k // 10)
            high, high_residual = _ritz(alpha, beta, k - 1)
            low, low_residual = _ritz(alpha, beta, 0) if both else (0.0, 0.0)
            scale, residual = max(abs(low), abs(high)), max(low_residual, high_residual)
            if closed or residual <= tolerance * scale:
                margin = 4 * min(tolerance * scale, beta[-1])
                return low - margin if both else 0.0, high + margin
        previous, q = q, v / beta[-1]
    raise ConvergenceError(
        "Lanczos did not find the ends of the spectrum of L",
        got=f"residual {residual:.3g} after {MOST_STEPS} steps",
        fix='pass method="gershgorin" for a cheap safe bound, or method="exact"',
    )


def _ritz(alpha: list[float], beta: list[float], at: int) -> tuple[float, float]:
    """The Ritz value of index `at`, ascending, and its residual."""
    from scipy.linalg import eigh_tridiagonal

    theta, y = eigh_tridiagonal(alpha, beta[:-1], select="i", select_range=(at, at))
    return float(theta[0]), beta[-1] * abs(float(y[-1, 0]))
