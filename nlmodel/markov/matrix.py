"""What the chain does with its matrix, dense or sparse: sums, scalings, diagonals, blocks."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from scipy.sparse import csr_array, diags_array, issparse
from scipy.sparse.linalg import splu

from nlmodel.errors import DomainError
from nlmodel.testing import tolerance


Matrix: TypeAlias = Any
"""What every function works on after the door: a NumPy array or a canonical `csr_array`."""

Sparse: TypeAlias = Any
"""A canonical `csr_array`."""

DENSE_STATES = 512
"""A sparse chain is turned into a dense one only up to this many states: 2 MiB in float64."""

SHORTEST_SUM = 16
"""Below this many terms the rounding of the entries themselves sets the tolerance of a sum."""


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
    return A @ np.ones(A.shape[1]) if issparse(A) else np.asarray(A.sum(axis=1, dtype=np.float64))


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


def exit_sums(A: Matrix) -> np.ndarray:
    """sum_{j != i} A_ij in float64: 1 - A_ii of a transition matrix, where that difference would cancel."""
    if not issparse(A):
        return row_sums(off_diagonal(A))
    moves = A.data.copy()
    moves[row_indices(A) == A.indices] = 0
    return row_sums(csr_array((moves, A.indices, A.indptr), shape=A.shape))


def with_diagonal(A: Sparse, entries: np.ndarray) -> Sparse:
    """A with another diagonal, in the dtype of A."""
    places = np.flatnonzero(row_indices(A) == A.indices)
    if len(places) < A.shape[0]:
        return add_diagonal(off_diagonal(A), entries)
    data = A.data.copy()
    data[places] = entries
    return csr_array((data, A.indices, A.indptr), shape=A.shape)


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


def symmetric_lu(A: Sparse) -> Any:
    """SciPy's sparse LU of A^T without pivoting, in a minimum degree ordering of the symmetric pattern of A; A dominant
    or positive definite.  Small panels: rows of a local kernel share few columns.
    """
    return splu(
        A.T,  # the rows of A, compressed, are the columns that SuperLU takes
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        panel_size=4,
        options={"SymmetricMode": True},
    )


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
