"""The door to Markov chains: dense or sparse matrices in float32 or float64, row i = from, column j = to."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from scipy.sparse import csr_array, diags_array, issparse

from nlmodel._arrays import check_array, check_square, is_torch_array, to_numpy
from nlmodel.errors import DomainError, DtypeError, ShapeError
from nlmodel.testing import tolerance


Matrix: TypeAlias = Any
"""What every function works on after the door: a NumPy array or a canonical `csr_array`."""

Sparse: TypeAlias = Any
"""A canonical `csr_array`."""

DENSE_STATES = 512
"""A sparse chain is turned into a dense one only up to this many states: 2 MiB in float64."""

UNFOLDED_STATES = 4096
"""An operator without a stored matrix is turned into one only up to this many states: 128 MiB in float64."""

SHORTEST_SUM = 16
"""Below this many terms the rounding of the entries themselves sets the tolerance of a sum."""


def as_matrix(A: Any, name: str, *, averaging: bool = False) -> Matrix:
    """`A` as a finite square NumPy array, or as a canonical `csr_array` without stored zeros.

    Parameters
    ----------
    A : (M, M) array, SciPy sparse matrix or array, or a `NonlocalOperator`: that stands for its averaging
        matrix K where `averaging` is true, else for its generator L = K - diag(exit rate).
    name : what messages call it.

    Returns  a view where `A` already has the form; never changes `A`.
    """
    if hasattr(A, "to_dense") and not is_torch_array(A):
        return _matrix_of_operator(A, name, averaging)
    if not issparse(A):
        return _check_precision(to_numpy(check_square(check_array(A, name, ndim=2), name)), name)
    if A.ndim != 2 or A.shape[0] != A.shape[1] or A.shape[0] == 0:
        raise ShapeError(
            f"{name} must be square and not empty",
            got=f"shape {A.shape}",
            why="row i and column j run over the same states",
        )
    csr = csr_array(A)
    _check_precision(csr, name)
    if csr.nnz:
        check_array(csr.data, name)
    if not csr.has_canonical_format or not np.all(csr.data):
        csr = csr.copy()
        csr.sum_duplicates()
        csr.eliminate_zeros()
    return csr


def _matrix_of_operator(op: Any, name: str, averaging: bool) -> Matrix:
    """K or L of a `NonlocalOperator`; any other linear map as it is."""
    storage = getattr(op, "storage", "other")
    if storage not in ("dense", "sparse") and op.shape[-1] > UNFOLDED_STATES:
        raise DomainError(
            f"{name} has no stored matrix",
            got=f"an operator of {op.shape[-1]} states in storage {storage!r}",
            why=f"the chain works on its matrix, which is formed only up to {UNFOLDED_STATES} states",
            fix='build the operator with storage="sparse", or pass op.to_dense() if it fits in memory',
        )
    if not hasattr(op, "averaging"):
        return as_matrix(op.to_dense(), name)
    K = as_matrix(op.averaging.to_csr() if storage == "sparse" else op.averaging.to_dense(), name)
    if averaging:
        return K
    exits, moves = to_numpy(op.exit_rate), off_diagonal(K)
    if np.all(np.abs(row_sums(K) - exits) <= sum_tolerance(K) * exits):
        return add_diagonal(moves, -row_sums(moves))  # K_ii - exit rate would cancel where K_ii is nearly all
    return add_diagonal(K, -exits)


def _check_precision(A: Matrix, name: str) -> Matrix:
    if A.dtype not in (np.float64, np.float32):
        raise DtypeError(
            f"{name} must be float64 or float32",
            got=f"dtype {A.dtype}",
            why="nothing is cast silently",
            fix=f"pass {name} in float64",
        )
    return A


def as_csr(A: Matrix) -> Sparse:
    """The nonzero entries in float64: the graph of the chain with its weights."""
    return csr_array(A, dtype=np.float64)


def as_dense(A: Matrix, purpose: str) -> np.ndarray:
    """`A` as a float64 array; refuses to unfold a sparse matrix of more than `DENSE_STATES` states."""
    if not issparse(A):
        return np.asarray(A, dtype=np.float64)
    if A.shape[0] > DENSE_STATES:
        raise DomainError(
            f"{purpose} works on dense matrices",
            got=f"a sparse chain of {A.shape[0]} states",
            why=f"a sparse chain is unfolded only up to {DENSE_STATES} states",
            fix="pass P.toarray() if its M^2 numbers fit in memory and O(M^3) work is acceptable",
        )
    return A.toarray().astype(np.float64)


def row_sums(A: Matrix) -> np.ndarray:
    """sum_j A_ij, summed in float64."""
    return np.asarray(A.sum(axis=1, dtype=np.float64))


def longest_row(A: Matrix) -> int:
    """The largest number of entries in a row."""
    return int(np.max(np.diff(A.indptr))) if issparse(A) else A.shape[1]


def sum_tolerance(A: Matrix) -> float:
    """What rounding can do to a row sum of nonnegative entries, relative to it: 4 n eps, n the longest row."""
    return tolerance("reduction", A.dtype, n=max(longest_row(A), SHORTEST_SUM))


def row_indices(A: Sparse) -> np.ndarray:
    """The row of each stored entry."""
    return np.repeat(np.arange(A.shape[0], dtype=A.indices.dtype), np.diff(A.indptr))


def off_diagonal(A: Matrix) -> Matrix:
    """A copy with zero diagonal."""
    if issparse(A):
        rows = row_indices(A)
        keep = rows != A.indices
        starts = np.concatenate([[0], np.cumsum(np.bincount(rows[keep], minlength=A.shape[0]))])
        parts = (A.data[keep], A.indices[keep], starts.astype(A.indptr.dtype))
        return csr_array(parts, shape=A.shape)
    B = A.copy()
    np.fill_diagonal(B, 0.0)
    return B


def add_diagonal(A: Matrix, entries: np.ndarray) -> Matrix:
    """A + diag(entries), in the dtype of A."""
    entries = entries.astype(A.dtype)
    return csr_array(A + diags_array(entries)) if issparse(A) else A + np.diag(entries)


def scale(A: Matrix, *, rows: np.ndarray | None = None, columns: np.ndarray | None = None) -> Matrix:
    """diag(rows) A diag(columns), in the dtype of A."""
    if not issparse(A):
        A = A if rows is None else A * rows[:, None].astype(A.dtype)
        return A if columns is None else A * columns.astype(A.dtype)
    data = A.data if rows is None else A.data * np.repeat(rows, np.diff(A.indptr))
    data = data if columns is None else data * columns[A.indices]
    return csr_array((data.astype(A.dtype), A.indices, A.indptr), shape=A.shape)


def transposed(A: Matrix) -> Matrix:
    """A^T, compressed by rows again when it is sparse."""
    return A.T.tocsr() if issparse(A) else A.T


def restricted(A: Matrix, states: np.ndarray) -> Matrix:
    """The block of A on some states, in their order; canonical when sparse."""
    block = A[states][:, states]
    if issparse(block):
        block.sort_indices()
    return block


def smallest_entry(A: Matrix) -> tuple[int, int, float]:
    """The place and value of the smallest entry."""
    if not issparse(A):
        i, j = divmod(int(np.argmin(A)), A.shape[1])
        return i, j, float(A[i, j])
    if A.nnz == 0:
        return 0, 0, 0.0
    at = int(np.argmin(A.data))
    i = int(np.searchsorted(A.indptr, at, side="right")) - 1
    return i, int(A.indices[at]), float(A.data[at])
