"""The product of a scaled sparse matrix and a field, on all cores, with nothing but the result allocated."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from types import ModuleType

import numpy as np
from scipy.sparse import csr_array

from nlmodel._arrays import Array, device, namespace, sparse_csr_matmul
from nlmodel._jit import compiled
from nlmodel.operators.linear_map import match
from nlmodel.operators.threads import BLOCKS_PER_CORE, cores, every


COMPILED_FROM = 200_000  # entries times columns; below, SciPy is done before the threads have begun


@dataclass(frozen=True, eq=False, repr=False)
class ScaledProduct:
    """Z -> diag(left) P^T A P diag(right) Z - diag(rate) Z, P the permutation with (P Z)_a = Z[order[a]].

    Attributes
    ----------
    matrix : A, in the order in which it is stored.
    order, place : (M,) integers, P and its inverse, or None where P = I.
    left, right, rate : (M,) arrays in the order of the field, or None for 1, 1 and 0.

    Cost     of a product of NumPy arrays: one pass over the entries of A; beside the result, one field where there is
             `right` and two where there is an order.  Without numba, and in other libraries, a few fields.
    """

    matrix: csr_array
    order: np.ndarray | None = None
    place: np.ndarray | None = None
    left: np.ndarray | None = None
    right: np.ndarray | None = None
    rate: np.ndarray | None = None

    def __call__(self, Z: Array) -> Array:
        """Of Z of shape (..., M, C), of any library."""
        *batch, rows, columns = Z.shape
        if not batch:
            return self._of_matrix(Z)
        xp = namespace(Z)
        result = self._of_matrix(xp.reshape(xp.moveaxis(Z, -2, 0), (rows, -1)))
        return xp.moveaxis(xp.reshape(result, (rows, *batch, columns)), 0, -2)

    def _of_matrix(self, Z: Array) -> Array:
        A = self.matrix
        plain = isinstance(Z, np.ndarray) and Z.dtype == A.dtype and Z.dtype.isnative
        loops = compiled("operators.csr_compiled") if plain and A.nnz * Z.shape[1] >= COMPILED_FROM else None
        return self._in_library(Z) if loops is None else self._in_loops(Z, loops)

    def _in_library(self, Z: Array) -> Array:
        xp = namespace(Z)
        X = Z if self.right is None else match(self.right, Z)[:, None] * Z
        X = X if self.order is None else xp.take(X, xp.asarray(self.order, device=device(Z)), axis=0)
        Y = sparse_csr_matmul(self.matrix, X)
        Y = Y if self.place is None else xp.take(Y, xp.asarray(self.place, device=device(Z)), axis=0)
        Y = Y if self.left is None else match(self.left, Z)[:, None] * Y
        return Y if self.rate is None else Y - match(self.rate, Z)[:, None] * Z

    def _in_loops(self, Z: np.ndarray, loops: ModuleType) -> np.ndarray:
        A, Z = self.matrix, np.ascontiguousarray(Z)
        none = np.empty(0, dtype=Z.dtype)
        left, right, rate = (none if v is None else v for v in (self.left, self.right, self.rate))
        order = np.empty(0, dtype=np.int32) if self.order is None else self.order
        X, Y = Z, np.empty_like(Z)
        if len(order) or len(right):
            X = np.empty_like(Z)
            every(lambda rows: loops.sort(Z, order, right, X, *rows), even_ranges(len(Z)))
        if self.place is None:
            _multiply(loops, A, X, left, rate, Z, Y)
            return Y
        place, sums = self.place, np.empty_like(Z)
        _multiply(loops, A, X, none, none, Z, sums)
        every(lambda rows: loops.restore(sums, place, left, rate, Z, Y, *rows), even_ranges(len(Z)))
        return Y


def _multiply(loops: ModuleType, A: csr_array, *fields: np.ndarray) -> None:
    """The loops of `vector` or `block` over X, left, rate, Z and Y."""
    X, left, rate, Z, Y = fields
    task = loops.block
    if X.shape[1] == 1:
        task, X, Z, Y = loops.vector, X.reshape(-1), Z.reshape(-1), Y.reshape(-1)
    entries = parts_of(A)
    every(lambda rows: task(*entries, X, left, rate, Z, Y, *rows), ranges_of_entries(A.indptr))


def parts_of(A: csr_array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """indptr, unsigned indices and data of a matrix, one number after the other in memory as the loops read them."""
    indptr, indices, data = map(np.ascontiguousarray, (A.indptr, A.indices, A.data))
    return indptr, indices.view(f"u{indices.itemsize}"), data


def inverse(order: np.ndarray) -> np.ndarray:
    """The inverse of a permutation."""
    place = np.empty_like(order)
    place[order] = np.arange(len(order), dtype=order.dtype)
    return place


def even_ranges(rows: int) -> list[tuple[int, int]]:
    """Ranges of about as many rows each, some for every core."""
    return _between(np.linspace(0, rows, BLOCKS_PER_CORE * cores() + 1).astype(int).tolist())


def ranges_of_entries(indptr: np.ndarray) -> list[tuple[int, int]]:
    """Ranges of rows with about as many entries each."""
    wanted = np.linspace(0, int(indptr[-1]), BLOCKS_PER_CORE * cores() + 1).astype(indptr.dtype)
    return _between([0, *np.searchsorted(indptr, wanted[1:-1]).tolist(), len(indptr) - 1])


def _between(bounds: list[int]) -> list[tuple[int, int]]:
    return list(itertools.pairwise(bounds))
