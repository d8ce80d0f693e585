"""Any kernel behind linear embeddings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmodel._arrays import Array, check_alike, check_array, eps, to_numpy, transpose
from nlmodel.errors import DtypeError, ShapeError
from nlmodel.kernels.base import Kernel
from nlmodel.kernels.declared import Declared
from nlmodel.kernels.dot_product import DotProduct
from nlmodel.kernels.exp_dot import ExpDot


@dataclass(frozen=True, eq=False)
class Embedded(Kernel):
    """A kernel behind linear embeddings of its two arguments.

        omega_theta(x, y) = omega(theta x, phi y)            Tao et al. 2018, eq. (13) for phi = theta

    With phi = theta symmetry, sign and semidefiniteness are inherited. Strict definiteness is inherited only
    when theta is injective: two points that differ by a vector of ker theta have equal rows. With another phi
    only the sign is inherited; behind a function of x.y the kernel sees A = theta^T phi alone and is
    symmetric only if A is.

    Parameters
    ----------
    kernel : the kernel omega on vectors of length C'.
    theta, phi : (C', C) arrays of one library, dtype and device, that of the points; phi None means theta.

    Accuracy that of `kernel` at embedded points with absolute error C eps |theta| |x|.
    Cost     O((M + N) C C') and that of `kernel`.
    """

    kernel: Kernel
    theta: Array
    phi: Array | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.kernel, Kernel):
            raise DtypeError(
                "kernel must be a Kernel",
                got=repr(self.kernel),
                fix="wrap a function with nlmodel.kernels.as_kernel",
            )
        for name, x in self.arrays.items():
            check_array(x, name, finite=False)
        check_alike(**self.arrays)
        for name, x in (("theta", self.theta), ("phi", self._phi)):
            check_array(x, name, ndim=2, finite=False)
            if x.shape != self.theta.shape or self.kernel.features not in (None, x.shape[0]):
                rows = self.theta.shape[0] if self.kernel.features is None else self.kernel.features
                raise ShapeError(
                    f"{name} must have shape ({rows}, {self.theta.shape[1]})",
                    got=f"shape {tuple(x.shape)}",
                    why="theta x and phi y are compared by the inner kernel, x and y live in one space",
                )

    @property
    def _phi(self) -> Array:
        return self.theta if self.phi is None else self.phi

    @property
    def arrays(self) -> dict[str, Array]:
        """The embeddings, and the arrays of the inner kernel."""
        own = {"theta": self.theta} if self.phi is None else {"theta": self.theta, "phi": self.phi}
        return own | {f"kernel.{name}": x for name, x in self.kernel.arrays.items()}

    @property
    def features(self) -> int:
        """C, the length of the vectors before the embedding."""
        return self.theta.shape[1]

    @property
    def exponential(self) -> bool:
        """True when the inner kernel is."""
        return self.kernel.exponential

    @property
    def declared(self) -> Declared:
        """What survives the embedding; the rank of theta is found numerically."""
        inner = self.kernel.declared
        theta, phi = to_numpy(self.theta), to_numpy(self._phi)
        rank = int(np.linalg.matrix_rank(theta))
        injective, surjective = rank == theta.shape[1], rank == theta.shape[0]

        def inherit(law: bool | None) -> bool | None:
            return law if law or surjective else None

        if np.array_equal(theta, phi):
            return Declared(
                symmetric=inherit(inner.symmetric),
                nonnegative=inherit(inner.nonnegative),
                positive_definite=inherit(inner.positive_definite),
                strictly_positive_definite=inherit(inner.strictly_positive_definite) if injective else False,
            )
        A = theta.T @ phi
        rounding = 4 * theta.shape[0] * eps(theta) * (np.abs(theta).T @ np.abs(phi))
        skew = bool(np.any(np.abs(A - A.T) > rounding + rounding.T))
        bilinear = isinstance(self.kernel, DotProduct | ExpDot)
        return Declared(symmetric=False if bilinear and skew else None, nonnegative=inner.nonnegative or None)

    def evaluate(self, X: Array, Y: Array) -> Array:
        """omega(theta X_i, phi Y_j), shape (..., M, N)."""
        return self.kernel.evaluate(X @ transpose(self.theta), Y @ transpose(self._phi))

    def log_evaluate(self, X: Array, Y: Array) -> Array:
        """log omega(theta X_i, phi Y_j), shape (..., M, N); exponential inner kernels only."""
        return self.kernel.log_evaluate(X @ transpose(self.theta), Y @ transpose(self._phi))
