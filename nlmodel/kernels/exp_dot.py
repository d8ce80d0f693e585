"""The exponential of the scalar product."""

from __future__ import annotations

from dataclasses import dataclass

from nlmodel._arrays import Array, check_number, transpose
from nlmodel.kernels.base import ExponentialKernel
from nlmodel.kernels.declared import Declared


@dataclass(frozen=True)
class ExpDot(ExponentialKernel):
    """Exponential of the scalar product: the affinity of softmax attention.

        omega(x, y) = exp(x.y / temperature)                              Wang et al. 2018, eq. (2)

    Wang et al. call it "Gaussian". It equals exp(|x|^2/2t) exp(-|x - y|^2/2t) exp(|y|^2/2t), a positive
    diagonal congruence of the true Gaussian, hence strictly positive definite.

    Parameters
    ----------
    temperature : t > 0; the square root of the length of the vectors in scaled attention.

    Accuracy relative error <= 4 D eps sum_c |x_c y_c| / t, that of the exponent.
    Cost     one matmul; O(M N D) time, O(M N) memory.
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        check_number(self.temperature, "temperature", above=0)

    @property
    def declared(self) -> Declared:
        """Strictly positive definite, positive."""
        return Declared(nonnegative=True, strictly_positive_definite=True)

    def log_evaluate(self, X: Array, Y: Array) -> Array:
        """X_i . Y_j / temperature, shape (..., M, N)."""
        return (X @ transpose(Y)) / self.temperature
