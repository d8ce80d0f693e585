"""Weights and weighted sums of some rows of an image, as compiled loops; imported only where numba is there.

All inner loops run along the rows of arrays from 0 on, which is what turns them into vector instructions.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from nlmodel.images.decay import MULTIPLIER, OFFSET


@njit(nogil=True, cache=True, inline="always")
def squares(padded, row, down, left, right, m, noise, out):
    """out[q] = sum_c (v - v shifted)^2 - noise along a row."""
    u, v = padded[0, row, left : left + m], padded[0, row + down, left + right : left + right + m]
    for q in range(m):
        out[q] = (u[q] - v[q]) * (u[q] - v[q]) - noise
    for c in range(1, len(padded)):
        u, v = padded[c, row, left : left + m], padded[c, row + down, left + right : left + right + m]
        for q in range(m):
            out[q] += (u[q] - v[q]) * (u[q] - v[q])


@njit(nogil=True, cache=True, fastmath={"contract"})
def across(x, taps, n, out):
    """out[q] = sum_k taps[k] x[q + k], the taps symmetric."""
    r = len(taps) // 2
    t, y = taps[r], x[r : r + n]
    for q in range(n):
        out[q] = t * y[q]
    for k in range(r):
        t, y, z = taps[k], x[k : k + n], x[2 * r - k : 2 * r - k + n]
        for q in range(n):
            out[q] += t * (y[q] + z[q])


@njit(nogil=True, cache=True, fastmath={"contract"})
def along(ring, oldest, taps, n, out, most, watched):
    """out[q] = sum_k taps[k] x_k[q] over the rows of the ring, and the largest sum of first rows but not all."""
    patch = len(taps)
    out[:n] = ring.dtype.type(0)
    most[:n] = ring.dtype.type(0)
    for k in range(patch - 1):
        t, x = taps[k], ring[(oldest + k) % patch]
        if watched:
            for q in range(n):
                out[q] += t * x[q]
                most[q] = max(most[q], out[q])
        else:
            for q in range(n):
                out[q] += t * x[q]
    t, x = taps[patch - 1], ring[(oldest + patch - 1) % patch]
    for q in range(n):
        out[q] += t * x[q]


@njit(nogil=True, cache=True)
def window(x, size, n, spare, out):
    """out[q] = x[q] + ... + x[q + size - 1], by sums of 1, 2, 4, ... terms."""
    start, length, m = 0, 1, n + size - 1
    turn = 0
    while True:
        if size & length:
            y = x[start : start + n]
            if start == 0:
                out[:n] = y
            else:
                for q in range(n):
                    out[q] += y[q]
            start += length
        if 2 * length > size:
            return
        m -= length
        y, z = x[length : length + m], spare[turn]  # another array than x, or the loop would not be one of vectors
        for q in range(m):
            z[q] = x[q] + y[q]
        x, turn, length = z, 1 - turn, 2 * length


@njit(nogil=True, cache=True, fastmath={"contract"})
def decay(x, n, polynomial, doublings, farthest):
    """exp(-x) in its place, 0 beyond the farthest; the lengths of the tuples are known when this is compiled."""
    for q in range(n):
        d = min(x[q], farthest)
        p = polynomial[0]
        for k in range(1, len(polynomial)):
            p = p * d + polynomial[k]
        for _ in range(len(doublings)):
            p *= p
        x[q] = p if x[q] < farthest else x.dtype.type(0)


@njit(nogil=True, cache=True, fastmath={"contract"})
def strip(padded, first, last, plan):
    """As the portable function of this name."""
    channels, height, width = padded.shape
    patch = len(plan.taps)
    r = patch // 2
    rows, columns = height - 2 * r, width - 2 * r
    number = padded.dtype.type
    ahead = min(rows, last + plan.reach) - first
    total = np.zeros((channels, ahead, columns), padded.dtype)
    weight = np.zeros((ahead, columns), padded.dtype)
    for i in range(last - first):
        weight[i] += plan.own
        for c in range(channels):
            total[c, i] += plan.own * padded[c, first + i + r, r : r + columns]
    ring = np.empty((patch, width), padded.dtype)
    square = np.empty(width, padded.dtype)
    summed = np.empty(width, padded.dtype)
    spare = np.empty((2, width), padded.dtype)
    most = np.empty(width, padded.dtype)
    bits = np.zeros(width, np.int64)
    decoded = bits.view(np.float64)
    for s in range(len(plan.shifts)):
        down, right = plan.shifts[s]
        left = max(0, -right)
        n = columns - abs(right)
        if n <= 0:
            continue
        m = n + 2 * r
        summed[:m] = number(0)
        ring[:] = number(0)
        for k in range(min(last, rows - down) - first + 2 * r):
            row = first + k
            slot = ring[k % patch]
            squares(padded, row, down, left, right, m, plan.noise, square)
            if plan.uniform:
                for q in range(m):
                    summed[q] += square[q] - slot[q]
                    slot[q] = square[q]
            else:
                across(square, plan.taps, n, slot)
            if k < 2 * r:
                continue
            i = k - 2 * r
            if plan.uniform:
                window(summed, patch, n, spare, square)
                for q in range(n):
                    square[q] = max(plan.scale * square[q], number(0))
            else:
                along(ring, k + 1, plan.taps, n, square, most, plan.approximate)
                for q in range(n):
                    square[q] = max(plan.scale * square[q], number(0))
            if plan.approximate:
                for q in range(n):
                    bits[q] = (np.int64(-MULTIPLIER * square[q]) + OFFSET) << 32
                for q in range(n):
                    square[q] = decoded[q] if plan.scale * most[q] <= plan.cutoff else number(0)
            else:
                decay(square, n, plan.polynomial, plan.doublings, plan.farthest)
            here, there = weight[i, left : left + n], weight[i + down, left + right : left + right + n]
            for q in range(n):
                here[q] += square[q]
            for q in range(n):
                there[q] += square[q]
            for c in range(channels):
                u = padded[c, row - r, left + r : left + r + n]
                v = padded[c, row - r + down, left + right + r : left + right + r + n]
                here, there = total[c, i, left : left + n], total[c, i + down, left + right : left + right + n]
                for q in range(n):
                    here[q] += square[q] * v[q]
                for q in range(n):
                    there[q] += square[q] * u[q]
    return total, weight
