"""Detailed balance of a sparse chain in two passes over its edges, compiled; imported only where numba is there."""

from __future__ import annotations

import math

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def opposite(indptr, indices, back):
    """back[p] <- the place of entry (j, i) for the entry (i, j) at place p; False where one has no opposite.

    Rows are sorted.  Row after row, the entries (j, i) of row j are asked for in the order in which they stand.
    """
    next_of = indptr[:-1].copy()
    for i in range(len(indptr) - 1):
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            q = next_of[j]
            if q == indptr[j + 1] or indices[q] != i:
                return False
            back[p] = q
            next_of[j] = q + 1
    return True


@njit(nogil=True, cache=True)
def along_trees(indptr, indices, data, back):
    """log m, breadth first from the first state of each component; the number of components; the depth."""
    size = len(indptr) - 1
    measure, depth, queue = np.zeros(size), np.full(size, -1), np.empty(size, np.int64)
    components, deepest = 0, 0
    for root in range(size):
        if depth[root] >= 0:
            continue
        components, depth[root], queue[0] = components + 1, 0, root
        first, last = 0, 1
        while first < last:
            i = queue[first]
            first += 1
            for p in range(indptr[i], indptr[i + 1]):
                j = indices[p]
                if depth[j] < 0:
                    depth[j] = depth[i] + 1
                    deepest = max(deepest, depth[j])
                    measure[j] = measure[i] + (math.log(abs(data[p])) - math.log(abs(data[back[p]])))
                    queue[last] = j
                    last += 1
    return measure, components, deepest


@njit(nogil=True, cache=True)
def largest_defect(indptr, indices, data, back, measure):
    """max |log(m_i P_ij) - log(m_j P_ji)| over all edges."""
    worst = 0.0
    for i in range(len(indptr) - 1):
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            if i < j:
                ratio = abs(data[p] / data[back[p]])
                if 1e-280 < ratio < 1e280:
                    change = math.log(ratio)
                else:
                    change = math.log(abs(data[p])) - math.log(abs(data[back[p]]))
                worst = max(worst, abs(measure[i] - measure[j] + change))
    return worst
