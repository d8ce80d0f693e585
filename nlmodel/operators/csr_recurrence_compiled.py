"""Some rows of a step of the Chebyshev recurrence with a compressed sparse row matrix, as compiled loops; imported only
where numba is there.

Places are unsigned, which spares a test for negative ones in front of every read.
"""

from __future__ import annotations

import numpy as np
from numba import njit


ONE, TWO, THREE, FOUR, FIVE, SIX, SEVEN = map(np.uint64, range(1, 8))


@njit(nogil=True, cache=True, fastmath={"contract", "reassoc"})
def vector(indptr, indices, data, factors, x, y, total, theta, first, last):
    """y[a] <- factors[a] sum_b data_ab x[b] - y[a], total[a] += theta y[a] for a from `first` to `last`."""
    for a in range(np.uint64(first), np.uint64(last)):
        found = x.dtype.type(0)
        for p in range(np.uint64(indptr[a]), np.uint64(indptr[a + ONE])):
            found += data[p] * x[indices[p]]
        new = factors[a] * found - y[a]
        y[a] = new
        total[a] += theta * new


@njit(nogil=True, cache=True, fastmath={"contract", "reassoc"})
def block(indptr, indices, data, factors, X, Y, total, theta, first, last):
    """The same of several columns, eight at a time."""
    columns = X.shape[1]
    for a in range(np.uint64(first), np.uint64(last)):
        start, end = np.uint64(indptr[a]), np.uint64(indptr[a + ONE])
        f = factors[a]
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
            sums = (s0, s1, s2, s3, s4, s5, s6, s7)
            for d in range(8):
                new = f * sums[d] - Y[a, c + np.uint64(d)]
                Y[a, c + np.uint64(d)] = new
                total[a, c + np.uint64(d)] += theta * new
        for c in range(np.uint64(columns // 8 * 8), np.uint64(columns)):
            found = X.dtype.type(0)
            for p in range(start, end):
                found += data[p] * X[indices[p], c]
            new = f * found - Y[a, c]
            Y[a, c] = new
            total[a, c] += theta * new
