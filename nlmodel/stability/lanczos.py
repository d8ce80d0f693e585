"""The ends of the spectrum of a Hermitian matrix from products with vectors alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nlmodel.errors import ConvergenceError
from nlmodel.spectrum.lanczos import lanczos, ritz_values


MOST_STEPS = 20_000


def spectrum_ends(
    apply: Callable[[np.ndarray], np.ndarray], size: int, *, tolerance: float, both: bool, noise: float = 0.0
) -> tuple[float, float]:
    """Smallest (0 unless `both`) and largest eigenvalue, each moved outwards by 4 `tolerance` max|eigenvalue|.

    The ends of the spectrum of the Lanczos matrix approach those of the map, also when its vectors lose their
    orthogonality (Paige 1976), so three vectors are enough.  No restarts: they stall where the end is a tight
    cluster, as for smooth positive kernels, whose s crowd at 1.

    The start is random and fixed; it misses an end of the spectrum with probability zero.

    Parameters
    ----------
    tolerance : stop at residuals below `tolerance` times the largest |Ritz value|.  In a cluster narrower than that the
        end itself may lie a little beyond the Ritz value, hence four times as much outwards.
    noise : stop also at a beta_k below this, the rounding of one product with a unit vector.

    Raises   ConvergenceError after 20,000 steps.
    Cost     one product and O(size) a step; at a tolerance of 1e-6 tens to hundreds of steps, thousands where the end
             is a tight cluster or a band edge that thins out.
    """
    check, residual = 1, np.inf
    process = lanczos(apply, size, steps=MOST_STEPS, orthogonal=False)
    for k, (alpha, beta) in enumerate(process, start=1):
        closed = beta[-1] <= max(noise, 1e-3 * tolerance * max(np.max(np.abs(alpha)), np.max(beta)))
        if k >= check or closed:
            check = k + max(4, k // 10)
            high, high_residual = _ritz(alpha, beta, k - 1)
            low, low_residual = _ritz(alpha, beta, 0) if both else (0.0, 0.0)
            scale, residual = max(abs(low), abs(high)), max(low_residual, high_residual)
            if closed or residual <= tolerance * scale:
                margin = 4 * min(tolerance * scale, beta[-1])
                return low - margin if both else 0.0, high + margin
    raise ConvergenceError(
        "Lanczos did not find the ends of the spectrum of L",
        got=f"residual {residual:.3g} after {MOST_STEPS} steps",
        fix='pass method="gershgorin" for a cheap safe bound, or method="exact"',
    )


def _ritz(alpha: list[float], beta: list[float], at: int) -> tuple[float, float]:
    """The Ritz value of index `at`, ascending, and its residual."""
    theta, residual = ritz_values(alpha, beta, at, at)
    return float(theta[0]), float(residual[0])
