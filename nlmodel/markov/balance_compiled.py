"""Detailed balance of a sparse chain in two passes over its edges, compiled; imported only where numba is there."""

from __future__ import annotations

import math

import numpy as np
from numba import njit


LARGEST = 1e140  # quotients of numbers between its inverse and it are normal numbers


@njit(nogil=True, cache=True)
def log_ratio(a, b):
    """log |a / b|."""
    ratio = abs(a / b)
    return math.log(ratio) if 1 / LARGEST < ratio < LARGEST else math.log(abs(a)) - math.log(abs(b))


@njit(nogil=True, cache=True)
def along_trees(indptr, indices, data):
    """log m, breadth first from the first state of each component; the number of components; the depth.

    The edge back to its parent is met when the row of a state is read for its children.  No components where there is
    none.
    """
    size = len(indptr) - 1
    measure, depth = np.zeros(size), np.full(size, -1, np.int32)
    queue, parent, place = np.empty(size, np.int32), np.full(size, -1, np.int32), np.empty(size, indptr.dtype)
    components, deepest = 0, 0
    for root in range(size):
        if depth[root] >= 0:
            continue
        components, depth[root], queue[0] = components + 1, 0, root
        first, last = 0, 1
        while first < last:
            i = queue[first]
            first += 1
            above, back = parent[i], -1
            for p in range(indptr[i], indptr[i + 1]):
                j = indices[p]
                if depth[j] < 0:
                    depth[j], parent[j], place[j], queue[last] = depth[i] + 1, i, p, j
                    last += 1
                elif j == above:
                    back = p
            if back >= 0:
                measure[i] = measure[above] + log_ratio(data[place[i]], data[back])
            elif above >= 0:
                return measure, 0, deepest
            deepest = max(deepest, depth[i])
    return measure, components, deepest


@njit(nogil=True, cache=True)
def largest_defect(indptr, indices, data, measure):
    """max |log(m_i P_ij) - log(m_j P_ji)| over all edges, infinite where one has no opposite.

    Rows are sorted.  Row after row, the entries (j, i) of row j are met in the order in which they stand, and all
    left of the diagonal before row j is reached.  Logarithms are taken only where flows are not of moderate size.
    """
    size = len(indptr) - 1
    next_of, mass = indptr[:-1].copy(), np.exp(measure)
    mass[np.abs(measure) > math.log(LARGEST)] = np.nan  # compares as false with everything
    worst, least, most = 0.0, 1.0, 1.0
    for i in range(size):
        first = next_of[i]
        if first < indptr[i + 1] and indices[first] < i:
            return math.inf
        for p in range(first, indptr[i + 1]):
            j = indices[p]
            if i == j:
                continue
            q = next_of[j]
            if q == indptr[j + 1] or indices[q] != i:
                return math.inf
            next_of[j] = q + 1
            forth, back = mass[i] * abs(data[p]), mass[j] * abs(data[q])
            if 1 / LARGEST < forth < LARGEST and 1 / LARGEST < back < LARGEST:
                ratio = forth / back
                least, most = min(least, ratio), max(most, ratio)
            else:
                worst = max(worst, abs(measure[i] - measure[j] + log_ratio(data[p], data[q])))
    return max(worst, math.log(most), -math.log(least))
