"""Rows of the product of a scaled sparse matrix, as compiled loops; imported only where numba is there.

Places are unsigned, which spares a test for negative ones in front of every read.  Arrays of length 0 stand for an
order, scalings and rates that are not there.
"""

from __future__ import annotations

import numpy as np
from numba import njit


ONE, TWO, THREE, FOUR, FIVE, SIX, SEVEN = map(np.uint64, range(1, 8))


@njit(nogil=True, cache=True)
def sort(Z, order, right, X, first, last):
    """X[a] = right[i] Z[i], i = order[a], for a from `first` to `last`."""
    straight, plain = len(order) == 0, len(right) == 0
    for a in range(first, last):
        i = np.uint64(a) if straight else np.uint64(order[a])
        f = Z.dtype.type(1) if plain else right[i]
        for c in range(Z.shape[1]):
            X[a, c] = f * Z[i, c]


@njit(nogil=True, cache=True)
def restore(X, place, left, rate, Z, Y, first, last):
    """Y[i] = left[i] X[place[i]] - rate[i] Z[i] for i from `first` to `last`."""
    plain, bare = len(left) == 0, len(rate) == 0
    for i in range(first, last):
        a = np.uint64(place[i])
        f = X.dtype.type(1) if plain else left[i]
        for c in range(X.shape[1]):
            Y[i, c] = f * X[a, c] if bare else f * X[a, c] - rate[i] * Z[i, c]


@njit(nogil=True, cache=True, fastmath={"contract", "reassoc"})
def vector(indptr, indices, data, x, left, rate, z, y, first, last):
    """y[a] = left[a] sum_b data_ab x[b] - rate[a] z[a] for a from `first` to `last`."""
    plain, bare = len(left) == 0, len(rate) == 0
    for a in range(first, last):
        total = x.dtype.type(0)
        for p in range(np.uint64(indptr[a]), np.uint64(indptr[a + 1])):
            total += data[p] * x[indices[p]]
        if not plain:
            total *= left[a]
        y[a] = total if bare else total - rate[a] * z[a]


@njit(nogil=True, cache=True, fastmath={"contract", "reassoc"})
def block(indptr, indices, data, X, left, rate, Z, Y, first, last):
    """The same of several columns, eight at a time."""
    plain, bare = len(left) == 0, len(rate) == 0
    columns = X.shape[1]
    for a in range(first, last):
        start, end = np.uint64(indptr[a]), np.uint64(indptr[a + 1])
        f = X.dtype.type(1) if plain else left[a]
        for eight in range(columns // 8):
            c = np.uint64(8 * eight)
            s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = X.dtype.type(0)
            for p in range(start, end):
                v, b = data[p], indices[p]
                s0 += v * X[b, c]
                s1 += v * X[b, c + ONE]
                s2 += v * X[b, c + TWO]
                s3 += v * X[b, c + THREE]
                s4 += v * X[b, c + FOUR]
                s5 += v * X[b, c + FIVE]
                s6 += v * X[b, c + SIX]
                s7 += v * X[b, c + SEVEN]
            Y[a, c], Y[a, c + ONE], Y[a, c + TWO], Y[a, c + THREE] = f * s0, f * s1, f * s2, f * s3
            Y[a, c + FOUR], Y[a, c + FIVE], Y[a, c + SIX], Y[a, c + SEVEN] = f * s4, f * s5, f * s6, f * s7
        for c in range(columns // 8 * 8, columns):
            total = X.dtype.type(0)
            for p in range(start, end):
                total += data[p] * X[indices[p], c]
            Y[a, c] = f * total
        if not bare:
            for c in range(columns):
                Y[a, c] -= rate[a] * Z[a, c]
