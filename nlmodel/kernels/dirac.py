"""The identity as a kernel."""

from __future__ import annotations

from dataclasses import dataclass

from nlmodel._arrays import Array, namespace
from nlmodel.kernels.base import Kernel
from nlmodel.kernels.declared import Declared


@dataclass(frozen=True)
class Dirac(Kernel):
    """One where two vectors are equal, zero elsewhere: delta_ij on distinct points.

        omega(x, y) = 1[x = y]                                            Tao et al. 2018, sec. 2.2

    With it the original block becomes Z -> (I + W) Z and the proposed one the identity. Repeated points form
    blocks of ones: positive semidefinite, and the identity when the points are distinct.

    Cost     O(M N D) time, O(M N) memory.
    """

    @property
    def declared(self) -> Declared:
        """Strictly positive definite (the identity on distinct points), nonnegative."""
        return Declared(nonnegative=True, strictly_positive_definite=True)

    def evaluate(self, X: Array, Y: Array) -> Array:
        """1[X_i = Y_j], shape (..., M, N)."""
        equal = X[..., :, None, 0] == Y[..., None, :, 0]
        for c in range(1, X.shape[-1]):
            equal = equal & (X[..., :, None, c] == Y[..., None, :, c])
        return namespace(X).astype(equal, X.dtype)
