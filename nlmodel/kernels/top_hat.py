"""The constant kernel on a ball."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

import numpy as np

from nlmodel._arrays import Array, namespace
from nlmodel.kernels._lambda import one_minus_lambda
from nlmodel.kernels.declared import Declared
from nlmodel.kernels.radial import TRUNCATED, RadialKernel


@dataclass(frozen=True)
class TopHat(RadialKernel):
    """Constant on the closed ball of radius delta.

        rho = c 1[r <= delta],   c = 3/delta^3,  8/(pi delta^4),  15/(2 pi delta^5)   for d = 1, 2, 3
        L^(k) = -(2 (d+2)/delta^2) (1 - Lambda_{d+2}(k delta)) = -k^2 + delta^2 k^4/(4 (d+4)) - ...

    The second line says that the average of a wave over a ball is Lambda_{d+2}; in one dimension Lambda_3 is
    the sinc function.

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

    def unscaled(self, square: Array) -> Array:
        """1."""
        return namespace(square).ones_like(square)

    def radial_integral(self, q: float) -> float:
        """delta^q / q."""
        return self.horizon**q / q

    def evaluate_symbol(self, k: np.ndarray) -> np.ndarray:
        """-sigma (1 - Lambda_{d+2}(k delta)), sigma = int rho."""
        return -self.moment(0) * one_minus_lambda(k * self.horizon, self.dim + 2)
