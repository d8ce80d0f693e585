"""A stencil on a box of a grid, as compiled loops; imported only where numba is there.

Arrays of shape (1, 1, 0) stand for scalings and rates that are not there.  Places are unsigned, which spares a test for
negative ones in front of every read.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from nlmodel.operators.instructions import adding_rows


INSTRUCTIONS = "877691ad48e6"  # digest of their file, so that a change there makes numba compile this one anew
WIDTH = 32  # numbers whose sums stay in registers while a list of places is passed through
STRETCH = 512  # of a line, so that the sums of lines stay in the nearest cache
add_wide = adding_rows(WIDTH)


@njit(nogil=True, cache=True)
def on_box(source, right, left, rate, result, box, reach, periodic, groups, lines, ones, starts, taps, weights):
    """result <- left * (stencil on right * source) - rate * source in the box (i, i', j, j', k, k') of the grid.

    groups : (G + 1,), where the lines of each group begin;  lines : (R, 2), offsets from the first corner.
    starts : (G + 1,), where the taps of each group begin;  taps : (T,), offsets along a line;  weights : (T,).
    """
    room, lengths = surrounded(source, right, box, reach, periodic, weights.dtype)
    pitch = min(STRETCH, box[5] - box[4]) + 2 * reach[2]
    at_lines = ((lines[:, 0] * lengths[1] + lines[:, 1]) * lengths[2]).astype(np.uint32)
    at_taps = taps.astype(np.uint32)
    for g in range(len(starts) - 1):
        at_taps[starts[g] : starts[g + 1]] += np.uint32(g * pitch)
    together = np.empty((len(groups) * pitch + WIDTH, 1), weights.dtype)  # the sum of the lines of each group
    sums = np.empty(STRETCH + WIDTH, weights.dtype)
    for i in range(box[0], box[1]):
        for j in range(box[2], box[3]):
            line = ((i - box[0]) * lengths[1] + j - box[2]) * lengths[2]
            for k in range(box[4], box[5], STRETCH):
                length = min(STRETCH, box[5] - k)
                corner = room[line + k - box[4] :]
                for g in range(len(groups) - 1):
                    start, end, into = np.uint64(groups[g]), np.uint64(groups[g + 1]), together[g * pitch :, 0]
                    for c in range(0, length + 2 * reach[2], WIDTH):  # what is beyond is written anew with the next
                        add_wide(ones, at_lines, corner, start, end, np.uint64(c), into)
                for c in range(0, length, WIDTH):
                    add_wide(weights, at_taps, together, np.uint64(0), np.uint64(len(weights)), np.uint64(c), sums)
                here = slice(k, k + length)
                factors = left[i, j, here] if left.size else left[0, 0]
                rates = rate[i, j, here] if rate.size else rate[0, 0]
                finish(sums, factors, rates, source[i, j, here], result[i, j, here])


@njit(nogil=True, cache=True)
def finish(sums, left, rate, source, result):
    """result <- left * sums - rate * source."""
    plain, bare = len(left) == 0, len(rate) == 0
    for c in range(np.uint64(len(result))):
        y = sums[c] if plain else left[c] * sums[c]
        result[c] = y if bare else y - rate[c] * source[c]


@njit(nogil=True, cache=True)
def surrounded(source, right, box, reach, periodic, dtype):
    """right * source in the box and all around it within reach, wrapped round once, or 0 beyond the grid; its shape.

    As one column, with WIDTH numbers to spare.
    """
    n1, n2, n3 = source.shape
    l1, l2, l3 = box[1] - box[0] + 2 * reach[0], box[3] - box[2] + 2 * reach[1], box[5] - box[4] + 2 * reach[2]
    room = np.empty((l1 * l2 * l3 + WIDTH, 1), dtype)
    begin = box[4] - reach[2]
    first = min(max(-begin, 0), l3)  # from here to there in a line nothing is wrapped round
    last = max(min(n3 - begin, l3), first)
    for a in range(l1):
        for b in range(l2):
            i, j, line = box[0] - reach[0] + a, box[2] - reach[1] + b, room[(a * l2 + b) * l3 :, 0]
            if not periodic and (i < 0 or i >= n1 or j < 0 or j >= n2):
                line[:l3] = 0
                continue
            p, q = i % n1, j % n2
            for start, end, shift in ((0, first, n3), (first, last, 0), (last, l3, -n3)):
                if shift != 0 and not periodic:
                    line[start:end] = 0
                else:
                    there = slice(begin + start + shift, begin + end + shift)
                    factors = right[p, q, there] if right.size else right[0, 0]
                    copy(source[p, q, there], factors, line[start:end])
    return room, (l1, l2, l3)


@njit(nogil=True, cache=True)
def copy(source, scaling, line):
    """line <- scaling * source."""
    if len(scaling) == 0:
        for c in range(np.uint64(len(line))):
            line[c] = source[c]
    else:
        for c in range(np.uint64(len(line))):
            line[c] = scaling[c] * source[c]
