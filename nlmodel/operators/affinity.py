"""The raw affinity omega as an operator that can be rescaled: what every representation shares."""

from __future__ import annotations

from abc import abstractmethod

from nlmodel._arrays import Array
from nlmodel.normalization import Potentials, log_of_row_sums
from nlmodel.operators.linear_map import LinearMap, match


class Affinity(LinearMap):
    """omega in one representation (`storage`), square, with what is known of it.

    `rescaled(left, right)` gives exp(left_i) omega_ij exp(right_j) in the same representation: with the
    potentials of a normalisation this is the averaging matrix K.
    """

    storage: str
    symmetric: bool | None
    nonnegative: bool

    @abstractmethod
    def rescaled(self, left: Array, right: Array) -> Affinity:
        """exp(left_i) omega_ij exp(right_j)."""

    def apply_both(self, Z: Array, Y: Array) -> tuple[Array, Array]:
        """omega Z and omega^T Y; where entries are evaluated, each of them serves both."""
        return self.apply(Z), self.apply_transposed(Y)

    def apply_less(self, Z: Array, rate: Array) -> Array:
        """K Z - diag(rate) Z."""
        return self.apply(Z) - match(rate, Z)[..., None] * Z

    def apply_transposed_less(self, Z: Array, rate: Array) -> Array:
        """K^T Z - diag(rate) Z."""
        return self.apply_transposed(Z) - match(rate, Z)[..., None] * Z

    def normalized(self, found: Potentials) -> tuple[Affinity, Potentials]:
        """K, and `found` as it came out."""
        return self.rescaled(found.left, found.right), found

    def symmetrized(self, log_measure: Array) -> LinearMap:
        """M^{1/2} K M^{-1/2} for a K that is self-adjoint in the measure m."""
        return self.rescaled(log_measure / 2, -log_measure / 2)

    @abstractmethod
    def diagonal(self) -> Array:
        """omega_ii, (..., M)."""

    @abstractmethod
    def log_weights(self, weights: float | Array | None) -> Array:
        """log of the quadrature weights, (M,), in the library of the representation."""

    def row_sums(self, weights: Array) -> Array:
        """sum_j omega_ij w_j."""
        return self.apply(weights[..., None])[..., 0]

    def log_row_sums(self, log_weights: Array) -> Array:
        """log sum_j omega_ij exp(b_j); `NormalizationError` where the sum is not positive."""
        return log_of_row_sums(self.row_sums, log_weights)
