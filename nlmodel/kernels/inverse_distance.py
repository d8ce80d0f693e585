"""The inverse distance on a ball."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass

import numpy as np
from scipy.special import sici

from nlmodel._arrays import Array
from nlmodel.kernels._lambda import SERIES_BELOW, lambda_series, one_minus_lambda
from nlmodel.kernels._panels import power_integral
from nlmodel.kernels.declared import Declared
from nlmodel.kernels.radial import TRUNCATED, RadialKernel


@dataclass(frozen=True)
class InverseDistance(RadialKernel):
    """Inverse distance on the closed ball of radius delta.

        rho = (c/r) 1[0 < r <= delta],   c = 2/delta^2,  6/(pi delta^3),  6/(pi delta^4)   for d = 1, 2, 3
        d = 1:   L^(k) = -(4/delta^2) Cin(k delta),   Cin(z) = int_0^z (1 - cos t)/t dt
        d = 3:   L^(k) = -(12/delta^2) (1 - sinc(k delta/2)^2)

    In one dimension sigma = int rho diverges logarithmically, so L is unbounded, and so is its symbol.

    Parameters
    ----------
    horizon : delta > 0.
    dim : d, 1 to 3.
    scaled : False leaves c = 1.
    """

    horizon: float
    dim: int = 1
    _: KW_ONLY
    scaled: bool = True

    @property
    def declared(self) -> Declared:
        """Not semidefinite."""
        return TRUNCATED

    @property
    def vanishes_at_zero(self) -> bool:
        """True: the singularity is left out."""
        return True

    def unscaled(self, square: Array) -> Array:
        """1/r."""
        return square**-0.5

    def radial_integral(self, q: float) -> float:
        """delta^(q-1) / (q-1), infinite for q = 1."""
        return self.horizon ** (q - 1.0) / (q - 1.0) if q > 1.0 else math.inf

    def evaluate_symbol(self, k: np.ndarray) -> np.ndarray:
        """Cin in one dimension, the integral of J_0 in two, elementary in three."""
        z = k * self.horizon
        if self.dim == 1:
            integral = cin(z)
        elif self.dim == 2:
            integral = power_integral(z, dim=2, exponent=1.0)
        else:
            missing = one_minus_lambda(0.5 * z, 3)
            integral = 0.5 * missing * (2.0 - missing)
        return -self.constant * self.sphere * self.horizon ** (self.dim - 1) * integral


def cin(z: np.ndarray) -> np.ndarray:
    """Cin(z) = int_0^z (1 - cos t)/t dt = gamma + log z - Ci(z), for z >= 0; relative error <= 8 eps."""
    small = z <= SERIES_BELOW
    t = np.where(small, 1.0, z)
    series = lambda_series(np.where(small, z, 0.0), 1, lambda n: 1.0 / (2 * n))
    return np.where(small, series, np.euler_gamma + np.log(t) - sici(t)[1])
