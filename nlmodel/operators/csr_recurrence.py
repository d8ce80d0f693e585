"""The Chebyshev recurrence with a sparse matrix in one pass a step, on all cores, in three arrays."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from nlmodel._jit import compiled
from nlmodel.operators.csr_product import COMPILED_FROM
from nlmodel.operators.sparse import SparseAffinity
from nlmodel.operators.threads import cores, every


def chebyshev_sum(K: SparseAffinity, Z: np.ndarray, theta: Sequence[float]) -> np.ndarray | None:
    """sum_k theta_k T_k(-K) Z, or None where products one by one do as well: few entries, or no numba.

    For K = diag(l) P^T A P diag(r), P the stored order, the U_k = P diag(r) T_k(-K) Z satisfy

        U_1 = -G A U_0,     U_{k+1} = -2 G A U_k - U_{k-1},     G = P diag(l r) P^T

    which takes the fields into the stored order and back once, not at each product, and puts U_{k+1} in the place of
    U_{k-1} row by row.

    Parameters
    ----------
    Z : (M, C) array in the precision of K.
    theta : n + 1 numbers.
    """
    A, dtype = K.stored, K.dtype
    plain = Z.ndim == 2 and Z.dtype == dtype and dtype.isnative and len(theta) > 1
    loops = compiled("operators.csr_compiled") if plain and A.nnz * Z.shape[1] >= COMPILED_FROM else None
    if loops is None:
        return None
    right = np.ones(len(Z), dtype) if K.right is None else K.right
    G = right if K.left is None else K.left * right
    order = slice(None) if K.order is None else K.order
    U, G = np.ascontiguousarray((right[:, None] * Z)[order]), G[order]
    step, shape = (loops.recur_block, U.shape) if U.shape[1] > 1 else (loops.recur_vector, (len(U),))
    entries, ranges = (A.indptr, A.indices.view(f"u{A.indices.itemsize}"), A.data), one_a_core(A.indptr)
    total, newer, U = (theta[0] * U).reshape(shape), np.zeros(shape, dtype), U.reshape(shape)
    factors = -G
    for weight in map(dtype.type, theta[1:]):
        now = (*entries, factors, U, newer, total, weight)
        every(lambda rows, now=now: step(*now, *rows), ranges)
        U, newer, factors = newer, U, -2 * G
    result = np.empty_like(Z)
    result[order] = total.reshape(Z.shape) / right[order, None]
    return result


def one_a_core(indptr: np.ndarray) -> list[tuple[int, int]]:
    """Ranges of rows with about as many entries each, one for every core: a step is too short for more."""
    wanted = np.linspace(0, int(indptr[-1]), cores() + 1).astype(indptr.dtype)
    return list(itertools.pairwise([0, *np.searchsorted(indptr, wanted[1:-1]).tolist(), len(indptr) - 1]))
