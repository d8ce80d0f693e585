"""The door to Markov chains: dense or sparse matrices in float32 or float64, row i = from, column j = to."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_array, issparse

from nlmodel._arrays import check_array, check_square, is_torch_array, to_numpy
from nlmodel.errors import DomainError, DtypeError, ShapeError
from nlmodel.markov.matrix import SHORTEST_SUM, Matrix, add_diagonal, off_diagonal, row_sums, sum_tolerance
from nlmodel.testing import tolerance


UNFOLDED_STATES = 4096
"""An operator without a stored matrix is turned into one only up to this many states: 128 MiB in float64."""


def as_matrix(A: Any, name: str, *, averaging: bool = False) -> Matrix:
    """`A` as a finite square NumPy array, or as a canonical `csr_array` without stored zeros.

    Parameters
    ----------
    A : (M, M) array, SciPy sparse matrix or array, or a `NonlocalOperator`: that stands for its averaging
        matrix K where `averaging` is true, else for its generator L = K - diag(exit rate).  Entries of a grid
        operator below the rounding of its transforms count as 0.
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
    if storage == "grid" and op.nonnegative:
        K = _without_transform_noise(K, op.measure)
    if averaging:
        return K
    exits, moves = to_numpy(op.exit_rate), off_diagonal(K)
    if np.all(np.abs(row_sums(K) - exits) <= sum_tolerance(K) * exits):
        return add_diagonal(moves, -row_sums(moves))  # K_ii - exit rate would cancel where K_ii is nearly all
    return add_diagonal(K, -exits)


def _without_transform_noise(K: np.ndarray, measure: Any) -> np.ndarray:
    """K >= 0 that came out of Fourier transforms: what lies below their rounding is 0, detailed balance is exact."""
    noise = tolerance("reduction", K.dtype, n=SHORTEST_SUM, scale=float(np.max(K)))
    K = np.where(noise < K, K, 0)
    if measure is None:
        return K
    flow = to_numpy(measure)[:, None] * K
    return (flow + flow.T) / (2 * to_numpy(measure)[:, None])


def _check_precision(A: Matrix, name: str) -> Matrix:
    if A.dtype not in (np.float64, np.float32):
        raise DtypeError(
            f"{name} must be float64 or float32",
            got=f"dtype {A.dtype}",
            why="nothing is cast silently",
            fix=f"pass {name} in float64",
        )
    return A
