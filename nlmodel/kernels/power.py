"""Powers of the distance on a ball, with the truncated fractional Laplacian among them."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass

import numpy as np

from nlmodel._arrays import Array, check_count, check_number
from nlmodel.errors import DomainError
from nlmodel.kernels._panels import power_integral
from nlmodel.kernels.declared import Declared
from nlmodel.kernels.radial import TRUNCATED, RadialKernel


@dataclass(frozen=True)
class Power(RadialKernel):
    """Power of the distance on the closed ball of radius delta.

        rho = c r^(-p) 1[r <= delta],   c = 2 d (d+2-p) / (|S^(d-1)| delta^(d+2-p))

    p = 0 is the top-hat, p = 1 the inverse distance; p >= d makes sigma = int rho infinite and L unbounded.

    Parameters
    ----------
    horizon : delta > 0.
    exponent : p < dim + 2; beyond, the second moment diverges and no scaling leads to the Laplacian.
    dim : d, 1 to 3.
    scaled : False leaves c = 1.
    """

    horizon: float
    exponent: float
    dim: int = 1
    _: KW_ONLY
    scaled: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number(self.exponent, "exponent")
        if self.exponent >= self.dim + 2:
            raise DomainError(
                f"exponent must be < dim + 2 = {self.dim + 2}",
                got=self.exponent,
                why="the second moment int |xi|^2 rho diverges at 0: L u is infinite even for u = x^2",
            )

    @property
    def declared(self) -> Declared:
        """Not semidefinite."""
        return TRUNCATED

    @property
    def vanishes_at_zero(self) -> bool:
        """True but for p = 0."""
        return self.exponent != 0

    def unscaled(self, square: Array) -> Array:
        """r^(-p)."""
        return square ** (-0.5 * self.exponent)

    def radial_integral(self, q: float) -> float:
        """delta^(q-p) / (q-p), infinite for q <= p."""
        a = q - self.exponent
        return self.horizon**a / a if a > 0.0 else math.inf

    def evaluate_symbol(self, k: np.ndarray) -> np.ndarray:
        """-c |S^(d-1)| delta^(d-p) int_0^1 t^(d-1-p) (1 - Lambda_d(k delta t)) dt."""
        integral = power_integral(k * self.horizon, dim=self.dim, exponent=self.exponent)
        return -self.constant * self.sphere * self.horizon ** (self.dim - self.exponent) * integral


def fractional(horizon: float, order: float, dim: int = 1, *, scaled: bool = True) -> Power:
    """The kernel of the fractional Laplacian of order 2s, truncated at the horizon.

        rho = c r^(-d-2s) 1[r <= delta],   0 < s < 1

    Parameters
    ----------
    horizon : delta > 0.
    order : s, in (0, 1).
    dim : d, 1 to 3.
    scaled : False leaves c = 1.
    """
    check_count(dim, "dim", at_least=1)
    check_number(order, "order", above=0, below=1)
    return Power(horizon, dim + 2.0 * order, dim, scaled=scaled)
