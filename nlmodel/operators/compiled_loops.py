"""The inner loops of the streamed operator, compiled by numba; imported only where numba is there.

Each runs over slices from 0 and without a branch, which is what turns it into vector instructions.  They let go of
the interpreter and start no threads of their own: threads of the caller may run them, before and after a fork.
What they call stands in this file, whose text tells numba whether the machine code it has kept is still theirs.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload


GAUSSIAN, EXPONENTIAL, BALL = range(3)

FUSED = {"contract"}  # a product and a sum in one instruction; nothing else may move, see `power`
SUMS = {"contract", "reassoc", "nsz"}  # sums in the lanes of a vector too

BLOCK = 512  # positions in the lanes: coordinates, weights and sums of so many stay in the first cache
TERMS = 128  # added up in the precision of the points before they join a sum in double precision

# 2^f = 1 + f (c_1 + f (c_2 + ...)) on [-1/2, 1/2], interpolated at Chebyshev nodes: relative error 6e-9 and 1e-17
S1, S2, S3, S4, S5, S6 = (np.float32(c) for c in (
    0.69314718802622878, 0.24022650760568127, 0.055503571142190778, 0.0096180825572778514, 0.0013390863364671234,
    0.00015453162945120690,
))  # fmt: skip
D1, D2, D3, D4, D5, D6, D7, D8, D9, D10, D11 = (
    0.69314718055994530942, 0.2402265069591009822, 0.055504108664821594339, 0.0096181291076068885273,
    0.001333355814641693531, 0.00015403530441736050155, 1.5252733829836118399e-5, 1.3215442587921689653e-6,
    1.0178062445845771701e-7, 7.0725859492692236999e-9, 4.4549605981867831415e-10,
)  # fmt: skip
ONE = np.float32(1)
ROUND_SINGLE, ROUND_DOUBLE = np.float32(1.5 * 2.0**23), 1.5 * 2.0**52  # t + ROUND - ROUND is t, rounded


@intrinsic
def times_power_of_two(context: Any, number: Any, rounded: Any = None) -> Any:
    """number * 2^k, with k = the last bits of `rounded` = k + 3 * 2^(p - 1), added to the exponent of `number`."""
    bits, mantissa = (32, 23) if number is types.float32 else (64, 52)

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        whole = ir.IntType(bits)
        number, rounded = (builder.bitcast(value, whole) for value in values)
        shifted = builder.shl(rounded, ir.Constant(whole, mantissa))
        return builder.bitcast(builder.add(number, shifted), target.get_value_type(signature.return_type))

    return number(number, number), generate


def power(a, s):
    """2^(a s) = 2^k 2^f with k = round(a s), f = a s - k, where it is a normal number; anything elsewhere.

    Accuracy relative error <= 2 eps, and that of a: its rounding is carried on by a factor |a s|.
    """
    return np.exp2(a * s)


@overload(power, jit_options={"fastmath": FUSED})
def _power(a, s):
    def single(a, s):
        rounded = a * s + ROUND_SINGLE
        f = a * s - (rounded - ROUND_SINGLE)
        p = ONE + f * (S1 + f * (S2 + f * (S3 + f * (S4 + f * (S5 + f * S6)))))
        return times_power_of_two(p, rounded)

    def double(a, s):
        rounded = a * s + ROUND_DOUBLE
        f = a * s - (rounded - ROUND_DOUBLE)
        high = D6 + f * (D7 + f * (D8 + f * (D9 + f * (D10 + f * D11))))
        p = 1.0 + f * (D1 + f * (D2 + f * (D3 + f * (D4 + f * (D5 + f * high)))))
        return times_power_of_two(p, rounded)

    return single if s is types.float32 else double


@njit(nogil=True, cache=True, fastmath=SUMS)
def add(w, z, v, rows):
    """rows_i += sum_k w_ki z_k of four k; sum_i w_ki v_i, the same pairs seen from the other side."""
    n = len(v)
    w0, w1, w2, w3 = w[0][:n], w[1][:n], w[2][:n], w[3][:n]
    z0, z1, z2, z3 = z[0], z[1], z[2], z[3]
    a = b = c = d = v.dtype.type(0)
    for i in range(n):
        rows[i] += (w0[i] * z0 + w1[i] * z1) + (w2[i] * z2 + w3[i] * z3)
        a += w0[i] * v[i]
        b += w1[i] * v[i]
        c += w2[i] * v[i]
        d += w3[i] * v[i]
    return a, b, c, d


@njit(nogil=True, cache=True, fastmath=FUSED)
def exponentials(a, left, right, tile):
    """tile_ij <- 2^(a tile_ij + left_i + right_j), 0 where that is not a normal number or left_i + right_j = -inf."""
    least = tile.dtype.type(-126 if tile.itemsize == 4 else -1022)
    one = tile.dtype.type(1)
    zero = tile.dtype.type(0)
    for i in range(len(tile)):
        row, own = tile[i], left[i]
        for j in range(len(row)):
            t = min(a * row[j] + (own + right[j]), zero)
            e = power(one, t)
            row[j] = e if t >= least else zero


@njit(nogil=True, cache=True, fastmath=FUSED)
def weigh(kind, x, first, j, a, cut, w):
    """w_i = omega(x_i, x_j) of the positions from `first` on, 0 where |x_i - x_j|^2 > cut."""
    zero, n = w.dtype.type(0), len(w)
    x0, x1, x2 = x[0][first : first + n], x[1][first : first + n], x[2][first : first + n]
    y0, y1, y2 = x[0, j], x[1, j], x[2, j]
    if kind == GAUSSIAN and len(x) == 3:
        for i in range(n):
            s = (x0[i] - y0) * (x0[i] - y0) + (x1[i] - y1) * (x1[i] - y1) + (x2[i] - y2) * (x2[i] - y2)
            e = power(a, s)
            w[i] = e if s <= cut else zero
        return
    for i in range(n):
        w[i] = (x0[i] - y0) * (x0[i] - y0) + (x1[i] - y1) * (x1[i] - y1) + (x2[i] - y2) * (x2[i] - y2)
    for d in range(3, len(x)):
        xd, yd = x[d][first : first + n], x[d, j]
        for i in range(n):
            w[i] += (xd[i] - yd) * (xd[i] - yd)
    profile(kind, a, cut, w)


@njit(nogil=True, cache=True, fastmath=FUSED)
def profile(kind, a, cut, w):
    """The weights of the squared distances w, in their place."""
    zero, one = w.dtype.type(0), w.dtype.type(1)
    if kind == GAUSSIAN:
        for i in range(len(w)):
            e = power(a, w[i])
            w[i] = e if w[i] <= cut else zero
    elif kind == EXPONENTIAL:
        for i in range(len(w)):
            e = power(a, math.sqrt(w[i]))
            w[i] = e if w[i] <= cut else zero
    else:
        for i in range(len(w)):
            w[i] = one if w[i] <= cut else zero


@njit(nogil=True, cache=True, fastmath=FUSED)
def add_pairs(kind, x, v, a, cut, i0, i1, j0, j1, rows, columns):
    """rows += omega v[j0:j1], and columns += omega^T v[i0:i1]; where the two ranges are one, each pair but once.

    Parameters
    ----------
    x : (D, M) coordinates, D >= 3.
    v : (C, M).
    rows, columns : (C, i1 - i0), (C, j1 - j0) float64.
    """
    C, same = len(v), i0 == j0
    w, z = np.empty((4, BLOCK), x.dtype), np.zeros(4, x.dtype)
    part = np.empty((C, BLOCK), x.dtype)
    for first in range(i0, i1, BLOCK):
        n = min(BLOCK, i1 - first)
        for start in range(first if same else j0, j1, TERMS):
            part[:] = 0
            mirrored = start >= first + BLOCK or not same
            for j in range(start, min(start + TERMS, j1), 4):
                m = min(4, j1 - j)
                for k in range(4):
                    if k < m:
                        weigh(kind, x, first, j + k, a, cut, w[k][:n])
                    else:
                        w[k][:] = 0
                for c in range(C):
                    for k in range(m):
                        z[k] = v[c, j + k]
                    sums = add(w, z, v[c][first : first + n], part[c][:n])
                    if mirrored:
                        for k in range(m):
                            columns[c, j - j0 + k] += sums[k]
            for c in range(C):
                for i in range(n):
                    rows[c, first - i0 + i] += part[c, i]


@njit(nogil=True, cache=True, fastmath=FUSED)
def fill(kind, x, a, cut, i0, j0, tile):
    """tile_ij = omega(x_(i0 + i), x_(j0 + j))."""
    for i in range(len(tile)):
        weigh(kind, x, j0, i0 + i, a, cut, tile[i])
