"""omega with a finite horizon as a compressed sparse row matrix, scaled as it is used and never copied."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import csr_array, issparse

from nlmodel._arrays import Array, check_array
from nlmodel.errors import DomainError, DtypeError, ShapeError
from nlmodel.kernels import Kernel, RadialKernel
from nlmodel.normalization import is_nonnegative, log_weights_of
from nlmodel.operators.affinity import Affinity
from nlmodel.operators.csr_product import ScaledProduct, inverse
from nlmodel.operators.neighbour_matrix import neighbour_matrix


@dataclass(frozen=True, eq=False, repr=False)
class SparseAffinity(Affinity):
    """diag(left) omega diag(right), omega a SciPy CSR array (NumPy float64 or float32, int32 indices).

    Acts on NumPy and on torch fields; gradients flow through the field.

    Attributes
    ----------
    stored : omega itself, its positions in the order in which they are kept.
    mirrored : omega is its own transpose, to the last bit.
    order : (M,) integers, stored position a is position order[a] of the user; None where they are the same.
    left, right : (M,) scalings in the user's order, None for 1.

    Cost     of a product: O(nnz C); of `rescaled`: O(M), unless its scalings leave the range of a product.
    """

    stored: csr_array
    symmetric: bool | None
    nonnegative: bool
    mirrored: bool = False
    order: np.ndarray | None = None
    left: np.ndarray | None = None
    right: np.ndarray | None = None
    storage = "sparse"

    @classmethod
    def from_matrix(cls, matrix: Any) -> SparseAffinity:
        """Check a SciPy sparse matrix or array; measure symmetry and sign.  Explicit zeros are dropped."""
        if not issparse(matrix):
            raise DtypeError("expected a SciPy sparse matrix", got=type(matrix).__name__)
        shape = tuple(matrix.shape)
        if len(shape) != 2 or shape[0] != shape[1] or shape[0] == 0:
            raise ShapeError("omega must be square and not empty", got=f"shape {shape}")
        csr = csr_array(matrix, copy=True)
        csr.sum_duplicates()
        if csr.nnz:
            check_array(csr.data, "omega")
        elif csr.dtype.kind != "f":
            raise DtypeError("omega must be a real floating-point array", got=f"dtype {csr.dtype}")
        csr.eliminate_zeros()
        return cls(csr, _is_symmetric(csr), is_nonnegative(csr.data))

    @classmethod
    def from_points(cls, X: np.ndarray, kernel: Kernel) -> SparseAffinity:
        """Every pair within the horizon, see `neighbour_matrix`."""
        matrix, order = neighbour_matrix(*check_local(X, kernel))
        return cls(matrix, True, bool(kernel.nonnegative), mirrored=True, order=order)

    @property
    def shape(self) -> tuple[int, ...]:
        size = len(self.stored.indptr) - 1
        return (size, size)

    @property
    def dtype(self) -> Any:
        return self.stored.dtype

    def apply(self, Z: Array) -> Array:
        return self._product(Z)

    def apply_transposed(self, Z: Array) -> Array:
        return self._transposed_product(Z)

    def apply_less(self, Z: Array, rate: Array) -> Array:
        return self._product(Z, rate)

    def apply_transposed_less(self, Z: Array, rate: Array) -> Array:
        return self._transposed_product(Z, rate)

    def _product(self, Z: Array, rate: Array | None = None) -> Array:
        return ScaledProduct(self.stored, self.order, self.place, self.left, self.right, rate)(Z)

    def _transposed_product(self, Z: Array, rate: Array | None = None) -> Array:
        return ScaledProduct(self._transposed, self.order, self.place, self.right, self.left, rate)(Z)

    @cached_property
    def place(self) -> np.ndarray | None:
        return None if self.order is None else inverse(self.order)

    @cached_property
    def _transposed(self) -> csr_array:
        return self.stored if self.mirrored else self.stored.T.tocsr()

    @property
    def matrix(self) -> csr_array:
        """The matrix in the user's order; not a copy where nothing has to be done to it."""
        scaled = self.left is not None or self.right is not None
        return self.stored if self.order is None and not scaled else self.to_csr()

    def to_dense(self) -> np.ndarray:
        return self.matrix.toarray()

    def to_csr(self) -> csr_array:
        """A copy of the matrix, in the user's order."""
        csr = self.stored.copy()
        if self.order is not None:
            csr = csr_array((csr.data, self.order[csr.indices], csr.indptr), shape=self.shape)[self.place]
            csr.sort_indices()
        if self.left is not None:
            csr.data *= np.repeat(self.left, np.diff(csr.indptr))
        if self.right is not None:
            csr.data *= self.right[csr.indices]
        return csr

    def diagonal(self) -> np.ndarray:
        entries = self.stored.diagonal()
        entries = entries if self.place is None else entries[self.place]
        for scaling in (self.left, self.right):
            entries = entries if scaling is None else entries * scaling
        return entries

    def rescaled(self, left: Array, right: Array) -> SparseAffinity:
        old = [0.0 if scaling is None else np.log(scaling) for scaling in (self.left, self.right)]
        logs = _balanced(old[0] + left, old[1] + right)
        limit = np.log(np.finfo(self.dtype).max) / 2  # beyond, omega Z could leave the range that K Z keeps
        if all(np.all(np.abs(log) <= limit) for log in logs):
            left, right = (None if not np.any(log) else np.exp(log) for log in logs)
            return replace(self, symmetric=None, left=left, right=right)
        csr = self.to_csr()
        logs = np.repeat(left, np.diff(csr.indptr))
        logs += right[csr.indices]
        csr.data *= np.exp(logs, out=logs)
        return SparseAffinity(csr, None, self.nonnegative)

    def log_weights(self, weights: float | Array | None) -> Array:
        return log_weights_of(weights, np.broadcast_to(self.dtype.type(0), self.shape))


def check_local(X: Any, kernel: Any) -> tuple[np.ndarray, RadialKernel]:
    """Points and a kernel that sparse storage can hold."""
    if not isinstance(X, np.ndarray) or X.ndim != 2:
        raise DtypeError(
            "sparse assembly takes one NumPy array of points",
            got=f"{type(X).__name__} of shape {tuple(X.shape)}",
            why="neighbours are found on the host",
            fix='pass NumPy points (the operator then acts on torch fields too), or use storage="dense"',
        )
    if not isinstance(kernel, RadialKernel) or not np.isfinite(kernel.horizon):
        raise DomainError(
            "sparse storage needs a kernel with a finite horizon",
            got=repr(kernel),
            fix='use storage="dense", or truncate the kernel',
        )
    if X.shape[1] != kernel.dim:
        raise ShapeError(
            f"X must hold vectors of length {kernel.dim} in its last dimension",
            got=f"shape {X.shape}",
            why=f"{kernel!r} is defined on vectors of that length",
        )
    return X, kernel


def _balanced(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same sums left_i + right_j; a constant `right` goes to the left, else both are centred alike."""
    lowest, highest = np.min(right), np.max(right)
    if lowest == highest:
        return left + lowest, np.zeros_like(right)
    shift = ((lowest + highest) - (np.min(left) + np.max(left))) / 4
    return left + shift, right - shift


def _is_symmetric(csr: csr_array) -> bool:
    """The criterion of `normalization.is_symmetric`, on stored entries alone."""
    size = np.sqrt(abs(csr).max(axis=1).toarray())
    gap = abs(csr - csr.T).tocoo()
    rows, columns = gap.coords
    return bool(np.all(gap.data <= 16 * np.finfo(csr.dtype).eps * size[rows] * size[columns]))
