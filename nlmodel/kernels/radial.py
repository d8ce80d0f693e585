"""Spatial kernels: a function of the distance inside a horizon, scaled so that L tends to the Laplacian."""

from __future__ import annotations

import math
from abc import abstractmethod
from functools import cached_property
from typing import ClassVar

import numpy as np

from nlmodel._arrays import Array, check_array, check_count, check_number, eps, namespace, to_numpy
from nlmodel.errors import DomainError, DtypeError
from nlmodel.kernels._distances import squared_distances
from nlmodel.kernels._panels import smooth_integral
from nlmodel.kernels.base import Kernel
from nlmodel.kernels.declared import Declared


SLACK = 1024
"""Relative slack of the closed horizon, in units of eps.

Positions carry the rounding error eps |x|, so a pair at the exact distance delta on a grid is found at
delta (1 + e) with |e| up to eps |x| / delta, on either side. The slack decides such pairs alike, inside, from
points, from a tree and from grid offsets, as long as coordinates stay below 1024 horizons.
"""

TRUNCATED = Declared(symmetric=True, nonnegative=True, positive_definite=False)
"""Laws of a kernel that is cut off at the horizon.

A semidefinite rho that is continuous at 0 is continuous everywhere; a cut-off one jumps at delta, and the
points 0, delta, delta + eta refute it. One that is set to 0 at r = 0 has the Gram matrix [[0, a], [a, 0]].
"""


class RadialKernel(Kernel):
    """A kernel rho(|x - y|) of positions in dim = 1, 2, 3 dimensions that vanishes beyond the horizon.

        L u(x) = int rho(|x - y|) (u(y) - u(x)) dy                        Tao et al. 2018, eq. (17)
        rho(r) = c phi(r) for r <= horizon, with int |xi|^2 rho(|xi|) dxi = 2 dim when scaled

    so that L u tends to the Laplacian of u as the horizon shrinks. No quadrature weight is included: the
    matrix rho(|x_i - x_j|) must still be multiplied by the volume of cell j. A subclass is a frozen dataclass
    with the fields below that gives phi (`unscaled`) and its radial integrals; the rest follows.

    Attributes
    ----------
    horizon : delta > 0, the ball is closed; math.inf where the class is declared `unbounded`.
    dim : dimension d, 1 to 3.
    scaled : False leaves c = 1.
    """

    horizon: float
    dim: int
    scaled: bool
    unbounded: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if check_count(self.dim, "dim", at_least=1) > 3:
            raise DomainError("dim must be 1, 2 or 3", got=self.dim)
        if not isinstance(self.scaled, bool):
            raise DtypeError("scaled must be True or False", got=repr(self.scaled))
        if not (self.unbounded and self.horizon == math.inf):
            check_number(self.horizon, "horizon", above=0)

    @abstractmethod
    def unscaled(self, square: Array) -> Array:
        """phi as a function of r^2, in array-API code; never called at 0 if the kernel vanishes there."""

    @abstractmethod
    def radial_integral(self, q: float) -> float:
        """int_0^horizon phi(r) r^(q-1) dr, q > 0; math.inf when it diverges."""

    @property
    def vanishes_at_zero(self) -> bool:
        """True when rho is set to 0 at r = 0, where phi is singular or 0: that pair adds nothing to L."""
        return False

    @property
    def extent(self) -> tuple[float, float]:
        """For the symbol: where phi is 0 to rounding, and the length over which it varies."""
        return self.horizon, self.horizon

    @property
    def features(self) -> int:
        """dim, the length of the position vectors."""
        return self.dim

    @property
    def declared(self) -> Declared:
        """Symmetric."""
        return Declared(symmetric=True)

    @property
    def sphere(self) -> float:
        """Area of the unit sphere in dim dimensions: 2, 2 pi, 4 pi."""
        return (2.0, 2.0 * math.pi, 4.0 * math.pi)[self.dim - 1]

    @cached_property
    def constant(self) -> float:
        """c: 2 dim over the second moment of phi, or 1 when not scaled."""
        if not self.scaled:
            return 1.0
        second = self.sphere * self._integral(self.dim + 2)
        c = 2.0 * self.dim / second if 0.0 < second < math.inf else math.inf
        if not 0.0 < c < math.inf:
            raise DomainError(
                "the second moment of the kernel must be representable",
                got=f"{second:g} from {self!r}",
                why="the kernel is divided by it so that L tends to the Laplacian",
                fix="choose other units of length, or scaled=False",
            )
        return c

    def reach(self, x: Array) -> float:
        """The horizon with the slack for the dtype of `x`: pairs with r <= reach count as inside."""
        return self.horizon * (1.0 + SLACK * eps(x))

    def profile(self, r: Array) -> Array:
        """rho as a function of the distance.

        Parameters
        ----------
        r : array, float64 or float32, >= 0.

        Returns  array like `r`: c phi(r), and 0 beyond the horizon; 0 at r = 0 if `vanishes_at_zero`.
        Accuracy relative error <= 8 eps (1 + |log phi|): an exponent carries its own rounding error.
        """
        check_array(r, "r")
        if not bool(namespace(r).all(r >= 0)):
            raise DomainError("r must be a distance, >= 0", got=f"smallest {float(np.min(to_numpy(r))):g}")
        with np.errstate(over="ignore"):  # an infinite square lies beyond every finite horizon
            return self._of_square(r * r)

    def evaluate(self, X: Array, Y: Array) -> Array:
        """rho(|X_i - Y_j|), shape (..., M, N)."""
        return self._of_square(squared_distances(X, Y))

    def moment(self, order: float) -> float:
        """int |xi|^order rho(|xi|) dxi over all space, in closed form.

        Parameters
        ----------
        order : >= 0; 0 gives the exit rate sigma of L, 2 gives 2 dim when scaled.

        Returns  float; math.inf when the integral diverges, or exceeds the largest float.
        Accuracy relative error <= 8 eps.
        """
        check_number(order, "order", at_least=0)
        return self.constant * self.sphere * self._integral(self.dim + order)

    def symbol(self, k: np.ndarray) -> np.ndarray:
        """Fourier symbol of L: L exp(i k.x) = symbol(|k|) exp(i k.x).

            L^(k) = -int rho(|xi|) (1 - cos k.xi) dxi
                  = -c |S^(d-1)| int_0^delta phi(r) r^(d-1) (1 - Lambda_d(k r)) dr = -k^2 + O(delta^2 k^4)

        Parameters
        ----------
        k : array of wave numbers |k| >= 0, float64 or float32.

        Returns  NumPy array like `k`, <= 0; computed in float64.
        Accuracy relative error <= 32 eps for k horizon <= 300, small k included; beyond, like its root.
        Cost     O(1) per wave number where a closed form exists, otherwise O(1 + k horizon).
        """
        k = to_numpy(k)
        check_array(k, "k")
        if np.min(k) < 0:
            raise DomainError("k must hold wave numbers |k| >= 0", got=f"smallest {np.min(k):g}")
        values = self.evaluate_symbol(np.ravel(k).astype(np.float64))
        return np.reshape(values, k.shape).astype(k.dtype)

    def evaluate_symbol(self, k: np.ndarray) -> np.ndarray:
        """The symbol at an (n,) float64 array, nothing checked; by quadrature of an analytic phi."""

        def density(r: np.ndarray) -> np.ndarray:
            return self.unscaled(r * r) * r ** (self.dim - 1)

        end, length = self.extent
        integral = smooth_integral(density, k, dim=self.dim, end=end, length=length)
        return -self.constant * self.sphere * integral

    def _of_square(self, square: Array) -> Array:
        xp = namespace(square)
        reach = self.reach(square)
        inside = square <= reach * reach
        if self.vanishes_at_zero:
            inside = inside & (square > 0)
        phi = self.unscaled(xp.where(inside, square, xp.ones_like(square)))
        return xp.where(inside, self.constant * phi, xp.zeros_like(square))

    def _integral(self, q: float) -> float:
        try:
            return self.radial_integral(q)
        except OverflowError:
            return math.inf
