"""The ends of the spectrum of a symmetric matrix from products with vectors alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nlmodel.errors import ConvergenceError


MOST_STEPS = 20_000


def spectrum_ends(
    apply: Callable[[np.ndarray], np.ndarray], size: int, *, tolerance: float, both: bool
) -> tuple[float, float]:
    """Smallest (0 unless `both`) and largest eigenvalue, each moved outwards by its residual.

        A q_k = beta_{k-1} q_{k-1} + alpha_k q_k + beta_k q_{k+1}

    The ends of the tridiagonal matrix (beta, alpha, beta) approach those of A.  A Ritz value with unit
    eigenvector y of that matrix lies within beta_k |y_k| of an eigenvalue of A, also when rounding makes the q_k lose
    their orthogonality (Paige 1976), so three vectors are enough.  No restarts: these stall where the end of the spectrum
    is a tight cluster, as it is for smooth positive kernels, whose s crowd at 1.

    The start is random and fixed; it misses an end of the spectrum with probability zero.

    Parameters
    ----------
    tolerance : stop at residuals below `tolerance` times the largest |Ritz value|.

    Raises   ConvergenceError after 20,000 steps.
    Cost     one product and O(size) a step; few dozens of steps, more where the end is a slowly thinning band.
    """
    from scipy.linalg import eigh_tridiagonal

    q = np.random.default_rng(0).standard_normal(size)
    q, previous, alpha, beta = q / np.linalg.norm(q), np.zeros(size), [], []
    check, residual = 1, np.inf
    for k in range(1, MOST_STEPS + 1):
        v = apply(q) - (beta[-1] * previous if beta else 0.0)
        alpha.append(float(q @ v))
        v = v - alpha[-1] * q
        beta.append(float(np.linalg.norm(v)))
        scale = max(np.max(np.abs(alpha)), np.max(beta))
        closed = beta[-1] <= tolerance * scale
        if k >= check or closed:
            check = k + max(1, k // 10)
            ends = []
            for at in (0, k - 1):
                theta, y = eigh_tridiagonal(alpha, beta[:-1], select="i", select_range=(at, at))
                ends.append((float(theta[0]), beta[-1] * abs(float(y[-1, 0]))))
            (low, low_residual), (high, high_residual) = ends
            residual = max(high_residual, low_residual if both else 0.0)
            if closed or residual <= tolerance * max(abs(low), abs(high)):
                return low - low_residual if both else 0.0, high + high_residual
        previous, q = q, v / beta[-1]
    raise ConvergenceError(
        "Lanczos did not find the ends of the spectrum of L",
        got=f"residual {residual:.3g} after {MOST_STEPS} steps",
        fix='pass method="gershgorin" for a cheap safe bound, or method="exact"',
    )
