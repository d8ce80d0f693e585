"""Rows of products with a compressed sparse row matrix, as compiled loops; imported only where numba is there.

Places are unsigned, which spares a test for negative ones in front of every read.  Arrays of length 0 stand for an
order, scalings and rates that are not there.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from nlmodel.operators.instructions import adding_rows, raise_by, sum_of_row


INSTRUCTIONS = "877691ad48e6"  # digest of their file, so that a change there makes numba compile this one anew
PATIENCE = 20_000  # looks at a counter before others get the core
ONE, EIGHT, SIXTEEN = map(np.uint64, (1, 8, 16))
FUSED = {"contract"}  # a product and a sum in one instruction; nothing else may move
add_eight, add_sixteen = adding_rows(8), adding_rows(16)


@njit(nogil=True, cache=True, fastmath=FUSED)
def sum_row(indices, data, X, start, end, sums):
    """sums[c] <- sum_p data[p] X[indices[p], c], start <= p < end."""
    c, columns = np.uint64(0), np.uint64(X.shape[1])
    while c + SIXTEEN <= columns:
        add_sixteen(data, indices, X, start, end, c, sums)
        c += SIXTEEN
    if c + EIGHT <= columns:
        add_eight(data, indices, X, start, end, c, sums)
        c += EIGHT
    while c < columns:
        total = X.dtype.type(0)
        for p in range(start, end):
            total += data[p] * X[indices[p], c]
        sums[c] = total
        c += ONE


@njit(nogil=True, cache=True, fastmath=FUSED, inline="always")
def sum_entries(indices, data, x, start, end):
    """sum_p data[p] x[indices[p]], start <= p < end."""
    if end - start >= EIGHT:
        return sum_of_row(indices, data, x, start, end)
    total = x.dtype.type(0)
    for p in range(start, end):
        total += data[p] * x[indices[p]]
    return total


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
    straight, plain, bare = len(place) == 0, len(left) == 0, len(rate) == 0
    for i in range(first, last):
        a = np.uint64(i) if straight else np.uint64(place[i])
        f = X.dtype.type(1) if plain else left[i]
        for c in range(X.shape[1]):
            Y[i, c] = f * X[a, c] if bare else f * X[a, c] - rate[i] * Z[i, c]


@njit(nogil=True, cache=True, fastmath=FUSED)
def vector(indptr, indices, data, x, left, rate, z, y, first, last):
    """y[a] = left[a] sum_b data_ab x[b] - rate[a] z[a] for a from `first` to `last`."""
    plain, bare = len(left) == 0, len(rate) == 0
    for a in range(np.uint64(first), np.uint64(last)):
        total = sum_entries(indices, data, x, np.uint64(indptr[a]), np.uint64(indptr[a + ONE]))
        if not plain:
            total *= left[a]
        y[a] = total if bare else total - rate[a] * z[a]


@njit(nogil=True, cache=True, fastmath=FUSED)
def block(indptr, indices, data, X, left, rate, Z, Y, first, last):
    """The same of several columns."""
    plain, bare, columns = len(left) == 0, len(rate) == 0, X.shape[1]
    sums = np.empty(columns, X.dtype)
    for a in range(np.uint64(first), np.uint64(last)):
        sum_row(indices, data, X, np.uint64(indptr[a]), np.uint64(indptr[a + ONE]), sums)
        f = X.dtype.type(1) if plain else left[a]
        if bare:
            for c in range(columns):
                Y[a, c] = f * sums[c]
        else:
            for c in range(columns):
                Y[a, c] = f * sums[c] - rate[a] * Z[a, c]


@njit(nogil=True, cache=True, fastmath=FUSED)
def recur_rows(indptr, indices, data, factors, scale, X, Y, total, theta, first, last):
    """Y[a] <- scale factors[a] sum_b data_ab X[b] - Y[a], total[a] += theta Y[a] for a from `first` to `last`."""
    if X.ndim == 1:
        for a in range(first, last):
            found = sum_entries(indices, data, X, np.uint64(indptr[a]), np.uint64(indptr[a + ONE]))
            new = scale * factors[a] * found - Y[a]
            Y[a] = new
            total[a] += theta * new
    else:
        columns = X.shape[1]
        sums = np.empty(columns, X.dtype)
        for a in range(first, last):
            sum_row(indices, data, X, np.uint64(indptr[a]), np.uint64(indptr[a + ONE]), sums)
            for c in range(columns):
                new = scale * factors[a] * sums[c] - Y[a, c]
                Y[a, c] = new
                total[a, c] += theta * new


@njit(nogil=True, cache=True, fastmath=FUSED)
def recur(indptr, indices, data, factors, U, older, total, theta, bounds, counters, turn):
    """All steps U_{k+1} <- 2 factors A U_k - U_{k-1}, the first without the 2, total += theta_k U_{k+1}, shared.

    The turns are the ranges of rows of the first step, then those of the second: threads take them in this order, and
    begin one when all of the step before are done, so that whoever waits, waits for a thread that is at work.

    bounds : (P + 1,), the ranges;  counters : (2,) int64, turns taken and turns done, 0 at first.
    turn : the one that the thread has taken already, or -1.

    Returns  -1 when all turns are taken, or the turn that has waited for long.
    """
    ranges = len(bounds) - 1
    while True:
        if turn < 0:
            turn = raise_by(counters, 0, 1)
        k, part = turn // ranges, turn % ranges
        if k >= len(theta):
            return -1
        patience = PATIENCE
        while raise_by(counters, 1, 0) < k * ranges:
            patience -= 1
            if patience == 0:
                return turn
        x, y = (U, older) if k % 2 == 0 else (older, U)
        scale = U.dtype.type(1 if k == 0 else 2)
        first, last = np.uint64(bounds[part]), np.uint64(bounds[part + 1])
        recur_rows(indptr, indices, data, factors, scale, x, y, total, theta[k], first, last)
        raise_by(counters, 1, 1)
        turn = -1
