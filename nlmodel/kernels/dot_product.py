"""The scalar product."""

from __future__ import annotations

from dataclasses import dataclass

from nlmodel._arrays import Array, transpose
from nlmodel.kernels.base import Kernel
from nlmodel.kernels.declared import Declared


@dataclass(frozen=True)
class DotProduct(Kernel):
    """Scalar product of two feature vectors.

        omega(x, y) = x.y                                                 Wang et al. 2018, eq. (4)

    Positive semidefinite of rank <= D, but of either sign: assumption (12) of Tao et al. 2018 fails, and row
    sums may vanish or be negative. Wang et al. divide by the number of positions instead of the row sum.

    Accuracy absolute error <= D eps sum_c |x_c y_c|.
    Cost     one matmul; O(M N D) time, O(M N) memory.
    """

    @property
    def declared(self) -> Declared:
        """Semidefinite; omega(x, -x) < 0; singular as soon as x = 0 is among the points."""
        return Declared(nonnegative=False, positive_definite=True, strictly_positive_definite=False)

    def evaluate(self, X: Array, Y: Array) -> Array:
        """X_i . Y_j, shape (..., M, N)."""
        return X @ transpose(Y)
