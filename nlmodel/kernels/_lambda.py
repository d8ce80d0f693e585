"""One minus the average of a plane wave over a sphere, without cancellation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import j0, j1


SERIES_BELOW = 2.0
"""Up to here the series, whose terms cancel to no less than a half; beyond, 1 - Lambda > 1/3."""

TERMS = 14
"""(SERIES_BELOW/2)^(2n) / (n! (1/2)_n) < 2^-53 from n = 12 on."""


def one_minus_lambda(z: np.ndarray, dim: int) -> np.ndarray:
    """1 - Lambda_d(z), where Lambda_d(k r) is the average of cos(k.x) over the sphere |x| = r.

        Lambda_d(z) = 0F1(; d/2; -z^2/4)
                    = cos z,  J_0(z),  sin z / z,  2 J_1(z)/z,  3 (sin z - z cos z)/z^3    for d = 1, ..., 5

    The average over a full ball in dimension d is Lambda_{d+2}.

    Parameters
    ----------
    z : array, float64, >= 0.
    dim : d, 1 to 5.

    Accuracy relative error <= 8 eps to z = 100 where d > 1, then growing like eps sqrt(z) for d = 2; at d = 1
             that of the sine, which is the conditioning near the zeros 2 pi n.
    """
    if dim == 1:
        return 2.0 * np.sin(0.5 * z) ** 2
    small = z <= SERIES_BELOW
    t = np.where(small, 1.0, z)
    large = {
        2: lambda: 1.0 - j0(t),
        3: lambda: 1.0 - np.sin(t) / t,
        4: lambda: 1.0 - 2.0 * j1(t) / t,
        5: lambda: 1.0 - 3.0 * (np.sin(t) - t * np.cos(t)) / t**3,
    }[dim]()
    return np.where(small, lambda_series(np.where(small, z, 0.0), dim, lambda n: 1.0), large)


def lambda_series(z: np.ndarray, dim: int, weight: Callable[[int], float]) -> np.ndarray:
    """sum_{n>=1} (-1)^(n+1) weight(n) (z/2)^(2n) / (n! (d/2)_n) by Horner's rule, for z <= SERIES_BELOW.

    With weight 1 it is 1 - Lambda_d(z); with other weights, integrals of it over z.
    """
    u = 0.25 * z * z
    total = np.zeros_like(u)
    for n in range(TERMS, 0, -1):
        total = u / (n * (0.5 * dim + n - 1.0)) * (weight(n) - total)
    return total
