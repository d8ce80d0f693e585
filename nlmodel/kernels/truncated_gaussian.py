"""The Gaussian of the distance between positions, truncated at a horizon or not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmodel._arrays import Array, namespace
from nlmodel.kernels._distances import gaussian_exponent
from nlmodel.kernels._gamma import exponential_integral
from nlmodel.kernels.decaying import DecayingKernel


@dataclass(frozen=True)
class TruncatedGaussian(DecayingKernel):
    """Gaussian of the distance on the closed ball of radius delta, or on all space.

        rho = c exp(-r^2 / (2 scale^2)) 1[r <= delta]
        delta = inf:   c = (2/scale^2) (2 pi scale^2)^(-d/2),   L^(k) = (2/scale^2) (exp(-scale^2 k^2/2) - 1)

    Strictly positive definite on all space; truncated it jumps at the horizon and is not semidefinite.

    Parameters
    ----------
    horizon : delta > 0, or math.inf.
    scale : standard deviation, > 0.
    dim : d, 1 to 3.
    scaled : False leaves c = 1.
    """

    def unscaled(self, square: Array) -> Array:
        """exp(-r^2 / (2 scale^2))."""
        return namespace(square).exp(gaussian_exponent(square, self.scale))

    def radial_integral(self, q: float) -> float:
        """(1/2) (2 scale^2)^(q/2) gamma(q/2, delta^2/(2 scale^2)), by v = r^2."""
        return 0.5 * exponential_integral(0.5 * q, self.horizon * self.horizon, 2.0 * self.scale * self.scale)

    @property
    def extent(self) -> tuple[float, float]:
        """phi r^4 integrates to less than 2^-60 beyond 12 standard deviations."""
        return min(self.horizon, 12.0 * self.scale), self.scale

    def symbol_on_all_space(self, k: np.ndarray) -> np.ndarray:
        """sigma (exp(-scale^2 k^2 / 2) - 1) on all space."""
        return self.moment(0) * np.expm1(-0.5 * (self.scale * k) ** 2)
