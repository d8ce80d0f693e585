"""The Gaussian of the distance (radial basis function)."""

from __future__ import annotations

from dataclasses import dataclass

from nlmodel._arrays import Array, check_number
from nlmodel.kernels._distances import gaussian_exponent, squared_distances
from nlmodel.kernels.base import ExponentialKernel
from nlmodel.kernels.declared import Declared


@dataclass(frozen=True)
class Gaussian(ExponentialKernel):
    """Gaussian of the distance of two feature vectors.

        omega(x, y) = exp(-|x - y|^2 / (2 scale^2))

    Strictly positive definite in every dimension (its Fourier transform is positive), so that K(Z) Z = 0
    only for Z = 0.

    Parameters
    ----------
    scale : standard deviation, > 0.

    Accuracy relative error <= (D + 6) eps (1 + |log omega|): the exponent carries its own rounding error.
    Cost     O(M N D) time, O(M N) memory.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        check_number(self.scale, "scale", above=0)

    @property
    def declared(self) -> Declared:
        """Strictly positive definite, positive."""
        return Declared(nonnegative=True, strictly_positive_definite=True)

    def log_evaluate(self, X: Array, Y: Array) -> Array:
        """-|X_i - Y_j|^2 / (2 scale^2), shape (..., M, N)."""
        return gaussian_exponent(squared_distances(X, Y), self.scale)
