"""The exponential of the distance between positions, truncated at a horizon or not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmodel._arrays import Array, namespace
from nlmodel.kernels._distances import safe_sqrt
from nlmodel.kernels._gamma import exponential_integral
from nlmodel.kernels.decaying import DecayingKernel


@dataclass(frozen=True)
class Exponential(DecayingKernel):
    """Exponential of the distance on the closed ball of radius delta, or on all space.

        rho = c exp(-r/scale) 1[r <= delta]
        delta = inf:   L^(k) = -sigma (1 - (1 + scale^2 k^2)^(-(d+1)/2)),   sigma = int rho

    In one dimension on all space c = 1/(2 scale^3) and L = ((1 - scale^2 d_xx)^(-1) - 1)/scale^2. Strictly
    positive definite on all space; truncated it jumps at the horizon and is not semidefinite. Not
    differentiable where two points meet; there the gradient is taken as 0.

    Parameters
    ----------
    horizon : delta > 0, or math.inf.
    scale : decay length, > 0.
    dim : d, 1 to 3.
    scaled : False leaves c = 1.
    """

    def unscaled(self, square: Array) -> Array:
        """exp(-r/scale)."""
        return namespace(square).exp(-safe_sqrt(square) / self.scale)

    def radial_integral(self, q: float) -> float:
        """scale^q gamma(q, delta/scale)."""
        return exponential_integral(q, self.horizon, self.scale)

    @property
    def extent(self) -> tuple[float, float]:
        """phi r^4 integrates to less than 2^-60 beyond 64 decay lengths."""
        return min(self.horizon, 64.0 * self.scale), self.scale

    def symbol_on_all_space(self, k: np.ndarray) -> np.ndarray:
        """-sigma (1 - (1 + scale^2 k^2)^(-(d+1)/2)) on all space."""
        return self.moment(0) * np.expm1(-0.5 * (self.dim + 1) * np.log1p((self.scale * k) ** 2))
