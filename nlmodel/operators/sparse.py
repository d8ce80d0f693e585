"""omega with a finite horizon as a compressed sparse row matrix, assembled by a k-d tree in chunks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.sparse import coo_array, csr_array, issparse
from scipy.spatial import KDTree

from nlmodel._arrays import Array, check_array, namespace, sparse_csr_matmul
from nlmodel.errors import DomainError, DtypeError, NonFiniteError, ShapeError
from nlmodel.kernels import Kernel, RadialKernel
from nlmodel.normalization import is_nonnegative, log_weights_of
from nlmodel.operators.affinity import Affinity


PAIRS_PER_CHUNK = 1_000_000  # about 100 bytes a pair while it is found and evaluated
SAMPLED_ROWS = 64  # one row of so many is counted to foresee the size of a chunk


@dataclass(frozen=True, eq=False, repr=False)
class SparseAffinity(Affinity):
    """omega_ij as a SciPy CSR array (NumPy float64 or float32, int32 indices).

    Acts on NumPy and on torch fields; gradients flow through the field.  Cost of a product: O(nnz C).
    """

    matrix: csr_array
    symmetric: bool | None
    nonnegative: bool
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
        """Every pair within the horizon, found by a k-d tree chunk by chunk.

        Each pair's value comes from the same differences and the same profile as in the dense definition, so
        that both decide alike on pairs at the horizon.  Memory: 12 bytes a stored entry in float64, less than twice
        that while chunks are joined, and about 100 MiB for the search.
        """
        if not isinstance(X, np.ndarray) or X.ndim != 2:
            raise DtypeError(
                "sparse assembly takes one NumPy array of points",
                got=f"{type(X).__name__} of shape {tuple(X.shape)}",
                why="neighbours are found by a k-d tree on the host",
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
        tree = KDTree(X)
        reach = kernel.horizon * (1 + 1e-3)  # candidates only: the profile decides
        parts, start = ([], [], []), 0
        while start < len(X):
            stop = _chunk_end(tree, X, start, reach)
            for part, block in zip(parts, _assemble(tree, X, start, stop, reach, kernel), strict=True):
                part.append(block)
            start = stop
        data, indices, counts = map(_joined, parts)
        index = _index_type(len(data))
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(index)
        matrix = csr_array((data, indices.astype(index, copy=False), indptr), shape=(len(X), len(X)))
        if not np.all(np.isfinite(data)):
            raise NonFiniteError("the kernel gave NaN or infinity", got=repr(kernel))
        return cls(matrix, True, bool(kernel.nonnegative))

    @property
    def shape(self) -> tuple[int, ...]:
        size = len(self.matrix.indptr) - 1
        return (size, size)

    @property
    def dtype(self) -> Any:
        return self.matrix.dtype

    def apply(self, Z: Array) -> Array:
        return _batched(self.matrix, Z)

    def apply_transposed(self, Z: Array) -> Array:
        return _batched(self._transposed, Z)

    @cached_property
    def _transposed(self) -> csr_array:
        return self.matrix.T.tocsr()

    def to_dense(self) -> np.ndarray:
        return self.matrix.toarray()

    def to_csr(self) -> csr_array:
        """A copy of the matrix."""
        return self.matrix.copy()

    def diagonal(self) -> np.ndarray:
        return self.matrix.diagonal()

    def rescaled(self, left: Array, right: Array) -> SparseAffinity:
        csr = self.matrix
        data = np.repeat(left, np.diff(csr.indptr))
        data += right[csr.indices]
        np.exp(data, out=data)
        data *= csr.data
        return SparseAffinity(csr_array((data, csr.indices, csr.indptr), shape=self.shape), None, self.nonnegative)

    def log_weights(self, weights: float | Array | None) -> Array:
        return log_weights_of(weights, np.broadcast_to(self.matrix.dtype.type(0), self.shape))


def _is_symmetric(csr: csr_array) -> bool:
    """The criterion of `normalization.is_symmetric`, on stored entries alone."""
    size = np.sqrt(abs(csr).max(axis=1).toarray())
    gap = abs(csr - csr.T).tocoo()
    rows, columns = gap.coords
    return bool(np.all(gap.data <= 16 * np.finfo(csr.dtype).eps * size[rows] * size[columns]))


def _joined(part: list[np.ndarray]) -> np.ndarray:
    """The chunks as one array, released as soon as they are copied."""
    whole = np.concatenate(part)
    part.clear()
    return whole


def _index_type(entries: int) -> type[np.integer]:
    """The narrower integer that counts so many stored entries."""
    return np.int32 if entries <= np.iinfo(np.int32).max else np.int64


def _batched(csr: csr_array, Z: Array) -> Array:
    """csr @ Z for Z of shape (..., M, C), of any library."""
    xp = namespace(Z)
    *batch, rows, columns = Z.shape
    flat = xp.reshape(xp.moveaxis(Z, -2, 0), (rows, -1)) if batch else Z
    result = sparse_csr_matmul(csr, flat)
    return xp.moveaxis(xp.reshape(result, (rows, *batch, columns)), 0, -2) if batch else result


def _chunk_end(tree: KDTree, X: np.ndarray, start: int, reach: float) -> int:
    """How far a chunk of rows may go so that it has about PAIRS_PER_CHUNK candidate pairs.

    Each sampled row speaks for those until the next, so that dense clusters make short chunks wherever they are.
    """
    sample = X[start : start + SAMPLED_ROWS * 1024 : SAMPLED_ROWS]
    counts = tree.query_ball_point(sample, reach, return_length=True)
    full = int(np.searchsorted(np.cumsum(counts) * SAMPLED_ROWS, PAIRS_PER_CHUNK))
    rows = SAMPLED_ROWS * full if full else int(PAIRS_PER_CHUNK / counts[0])
    return min(len(X), start + max(1, rows))


def _assemble(tree: KDTree, X: np.ndarray, start: int, stop: int, reach: float, kernel: RadialKernel):
    """Values, column indices and row lengths of the rows start..stop."""
    receivers = X[start:stop]
    pairs = KDTree(receivers).sparse_distance_matrix(tree, reach, output_type="ndarray")
    rows, columns = pairs["i"].astype(np.int32), pairs["j"].astype(np.int32)
    del pairs
    squared = np.zeros(len(rows), dtype=X.dtype)
    for d in range(X.shape[1]):
        squared += (receivers[rows, d] - X[columns, d]) ** 2
    values = kernel.profile(np.sqrt(squared))
    block = coo_array((values, (rows, columns)), shape=(stop - start, len(X))).tocsr()
    block.eliminate_zeros()
    block.sort_indices()
    return block.data, block.indices, np.diff(block.indptr)
