"""Rows of products with a compressed sparse row matrix, as compiled loops; imported only where numba is there.

Places are unsigned, which spares a test for negative ones in front of every read.  Arrays of length 0 stand for an
order, scalings and rates that are not there.  What the loops call stands in this file, whose date tells numba whether
the machine code it has kept is still theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic


PATIENCE = 20_000  # looks at a counter, each of some ten nanoseconds, before others get the core
ONE, FOUR, EIGHT, SIXTEEN = map(np.uint64, (1, 4, 8, 16))
FUSED = {"contract"}  # a product and a sum in one instruction; nothing else may move


def adding_rows(width: int) -> Callable[..., None]:
    """A function that puts sum_p data[p] X[indices[p], c : c + width], start <= p < end, into sums[c : c + width].

    The sums stay in vector registers over the entries of the row, to which no loop in Python's words is turned.
    """

    @intrinsic
    def add_rows(
        context: Any,
        data: Any,
        indices: Any,
        X: Any,
        start: Any = None,
        end: Any = None,
        c: Any = None,
        sums: Any = None,
    ) -> Any:
        number, place = X.dtype, types.uint64
        signature = types.void(data, indices, X, place, place, place, sums)

        def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
            return _sum_of_rows(
                target, builder, signature.args, values, ir.VectorType(target.get_data_type(number), width)
            )

        return signature, generate

    return add_rows


def _sum_of_rows(target: Any, builder: Any, kinds: Any, values: Any, vector: Any) -> Any:
    """The instructions: one loop over p with the vector of sums."""
    start, end, column = values[3:6]
    data, indices, X, sums = (target.make_array(kinds[k])(target, builder, values[k]) for k in (0, 1, 2, 6))
    align, whole, lane = kinds[2].dtype.bitwidth // 8, ir.IntType(64), ir.IntType(32)
    zero, unknown = ir.Constant(vector, None), ir.Constant(vector, ir.Undefined)
    columns, before = builder.extract_value(X.shape, 1), builder.basic_block
    entries, done = (builder.append_basic_block(name) for name in ("entries", "done"))
    builder.cbranch(builder.icmp_unsigned("<", start, end), entries, done)

    builder.position_at_end(entries)
    p, total = builder.phi(whole), builder.phi(vector)
    row = builder.zext(builder.load(builder.gep(indices.data, [p])), whole)
    first = builder.gep(X.data, [builder.add(builder.mul(row, columns), column)])
    x = builder.load(builder.bitcast(first, vector.as_pointer()), align=align)
    entry = builder.insert_element(unknown, builder.load(builder.gep(data.data, [p])), ir.Constant(lane, 0))
    entry = builder.shuffle_vector(entry, unknown, ir.Constant(ir.VectorType(lane, vector.count), None))
    more = builder.fadd(total, builder.fmul(entry, x, flags=("contract",)), flags=("contract",))
    following = builder.add(p, whole(1))
    builder.cbranch(builder.icmp_unsigned("<", following, end), entries, done)
    for phi, at_start, later in ((p, start, following), (total, zero, more)):
        phi.add_incoming(at_start, before)
        phi.add_incoming(later, entries)

    builder.position_at_end(done)
    result = builder.phi(vector)
    result.add_incoming(zero, before)
    result.add_incoming(more, entries)
    builder.store(result, builder.bitcast(builder.gep(sums.data, [column]), vector.as_pointer()), align=align)
    return target.get_dummy_value()


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
    """sum_p data[p] x[indices[p]], start <= p < end, in four sums, none of which waits for another."""
    s0 = s1 = s2 = s3 = x.dtype.type(0)
    p = start
    while p + FOUR <= end:
        s0 += data[p] * x[indices[p]]
        s1 += data[p + ONE] * x[indices[p + ONE]]
        s2 += data[p + ONE + ONE] * x[indices[p + ONE + ONE]]
        s3 += data[p + FOUR - ONE] * x[indices[p + FOUR - ONE]]
        p += FOUR
    while p < end:
        s0 += data[p] * x[indices[p]]
        p += ONE
    return (s0 + s1) + (s2 + s3)


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


@intrinsic
def raise_by(context: Any, counters: Any, place: Any = None, amount: Any = None) -> Any:
    """counters[place] += amount by one thread at a time, seen by all in the same order; returns what it was before."""

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        array = target.make_array(signature.args[0])(target, builder, values[0])
        return builder.atomic_rmw("add", builder.gep(array.data, [values[1]]), values[2], "seq_cst")

    return types.int64(counters, types.int64, types.int64), generate


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
def recur(indptr, indices, data, factors, U, newer, total, theta, bounds, counters, turn):
    """All steps U_{k+1} <- 2 factors A U_k - U_{k-1}, total += theta_{k+1} U_{k+1}, k = 0, 1, ..., shared by threads.

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
        x, y = (U, newer) if k % 2 == 0 else (newer, U)
        scale = U.dtype.type(1 if k == 0 else 2)
        first, last = np.uint64(bounds[part]), np.uint64(bounds[part + 1])
        recur_rows(indptr, indices, data, factors, scale, x, y, total, theta[k], first, last)
        raise_by(counters, 1, 1)
        turn = -1
