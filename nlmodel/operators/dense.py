"""omega as a dense array, of any library, batched, differentiable; given as itself or as its logarithm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nlmodel._arrays import Array, namespace, transpose
from nlmodel.normalization import (
    DenseRowSums,
    Potentials,
    averaging,
    check_dense,
    exponential,
    is_nonnegative,
    is_symmetric,
    log_weights_of,
    rescale,
)
from nlmodel.operators.affinity import Affinity
from nlmodel.operators.algebra import identity_like
from nlmodel.operators.linear_map import match


@dataclass(frozen=True, eq=False, repr=False)
class DenseAffinity(Affinity):
    """omega_ij (or log omega_ij) stored as a (..., M, M) array.  Cost of a product: O(M^2 C)."""

    values: Array
    log: bool
    symmetric: bool | None
    nonnegative: bool
    storage = "dense"

    @classmethod
    def from_array(
        cls,
        values: Array,
        *,
        log: bool = False,
        symmetric: bool | None = None,
        nonnegative: bool | None = None,
    ) -> DenseAffinity:
        """Check `values`; measure symmetry and sign where the caller does not know them."""
        check_dense(values, log=log)
        return cls(
            values,
            log,
            is_symmetric(values, log=log) if symmetric is None else symmetric,
            log or (is_nonnegative(values) if nonnegative is None else nonnegative),
        )

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.values.shape)

    @property
    def dtype(self) -> Any:
        return self.values.dtype

    def apply(self, Z: Array) -> Array:
        return namespace(Z).matmul(match(self.to_dense(), Z), Z)

    def apply_transposed(self, Z: Array) -> Array:
        return namespace(Z).matmul(transpose(match(self.to_dense(), Z)), Z)

    def to_dense(self) -> Array:
        return exponential(self.values) if self.log else self.values

    def diagonal(self) -> Array:
        return namespace(self.values).linalg.diagonal(self.to_dense())

    def rescaled(self, left: Array, right: Array) -> DenseAffinity:
        values = rescale(self.values, left, right, log=self.log)
        return DenseAffinity(values, False, None, self.nonnegative)

    def normalized(self, found: Potentials) -> tuple[DenseAffinity, Potentials]:
        values, found = averaging(self.values, found, log=self.log)
        return DenseAffinity(values, False, None, self.nonnegative), found

    def symmetrized(self, log_measure: Array) -> DenseAffinity:
        """The smaller of (m_i / m_j)^{1/2} and its inverse times the larger of K_ij and K_ji: nothing overflows."""
        xp, K = namespace(self.values), self.to_dense()
        half = (log_measure[..., :, None] - log_measure[..., None, :]) / 2
        below = half <= 0
        values = xp.exp(xp.where(below, half, -half)) * xp.where(below, K, transpose(K))
        return DenseAffinity(values, False, True, self.nonnegative)

    def row_sums(self, weights: Array) -> Array:
        return DenseRowSums(self.values, self.log).row_sums(weights)

    def log_row_sums(self, log_weights: Array) -> Array:
        return DenseRowSums(self.values, self.log).log_row_sums(log_weights)

    def log_weights(self, weights: float | Array | None) -> Array:
        return log_weights_of(weights, self.values)

    def identity(self, size: int) -> Array:
        return identity_like(self.values, size)
