"""The exponential of the distance between positions, truncated at a horizon or not."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import numpy as np

from nlmodel._arrays import Array, check_number, namespace
from nlmodel.kernels._distances import safe_sqrt
from nlmodel.kernels._gamma import exponential_integral
from nlmodel.kernels.declared import Declared
from nlmodel.kernels.radial import TRUNCATED, RadialKernel


@dataclass(frozen=True)
class Exponential(RadialKernel):
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

    horizon: float
    scale: float
    dim: int = 1
    _: KW_ONLY
    scaled: bool = True
    unbounded: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self.scale, "scale", above=0)

    @property
    def declared(self) -> Declared:
        """Strictly positive definite exactly when not truncated."""
        if self.horizon < math.inf:
            return TRUNCATED
        return Declared(nonnegative=True, strictly_positive_definite=True)

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

    def evaluate_symbol(self, k: np.ndarray) -> np.ndarray:
        """-sigma (1 - (1 + scale^2 k^2)^(-(d+1)/2)) on all space, else quadrature."""
        if self.horizon < math.inf:
            return super().evaluate_symbol(k)
        return self.moment(0) * np.expm1(-0.5 * (self.dim + 1) * np.log1p((self.scale * k) ** 2))
