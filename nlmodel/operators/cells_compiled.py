"""Neighbours among the points of cells, by compiled loops; imported only where numba is there.

Places are unsigned, which spares a test for negative ones, and no part of an array is named in a loop: a view counts
the users of its array, and cores would wait for each other's counts.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numba import njit

from nlmodel.operators.cells import Cells
from nlmodel.operators.threads import BLOCKS_PER_CORE, cores, every


INSERTED = 64  # columns; longer rows are sorted otherwise


def pairs(
    cells: Cells, rows: np.ndarray, limit: np.floating, apart: bool, named: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As the portable function of this name; pairs are counted first, so that nothing but the result is allocated."""
    most = int(np.sum(cells.candidates[cells.cell[rows]]))
    parts = [(part.start, part.stop) for part, _ in cells.chunks(rows, most // (BLOCKS_PER_CORE * cores()) + 1)]
    indptr = np.zeros(len(rows) + 1, dtype=cells.index(most))
    number = cells.points.dtype.type
    axes = [(number(1), x) for x in cells.points] + [(number(0), cells.points[0])] * (3 - len(cells.points))
    where: list[Any] = [*itertools.chain(*axes), cells.cell, cells.runs, rows, limit, apart]

    def run(loop: Any, *arguments: Any) -> None:
        every(lambda part: loop(*where, *arguments, *part), parts)

    run(_count, indptr)
    np.cumsum(indptr, out=indptr)
    found = int(indptr[-1])
    indptr = indptr.astype(cells.index(found), copy=False)
    columns, square = np.empty(found, dtype=cells.index(found)), np.empty(found, dtype=number)
    names, width = cells.order if named else cells.order[:0], int(np.max(cells.candidates))
    run(_fill, indptr, names, width, columns, square)
    return indptr, columns, square


@njit(nogil=True, cache=True)
def _count(f, x, g, y, h, z, cell, runs, rows, limit, apart, indptr, start, stop):
    """indptr[r + 1] <- how many neighbours row r has, from row `start` to `stop`.

    Coordinates are f x, g y, h z, with the factors 0 of those that are not there.
    """
    for r in range(start, stop):
        a, found = rows[r], np.int32(0)
        xa, ya, za, c = f * x[a], g * y[a], h * z[a], cell[a]
        for k in range(runs.shape[1]):
            for q in range(np.uint64(runs[c, k, 0]), np.uint64(runs[c, k, 1])):
                u, v, w = xa - f * x[q], ya - g * y[q], za - h * z[q]
                s = u * u + v * v + w * w
                found += np.int32((s <= limit) & ((s > 0) | (not apart)))
        indptr[r + 1] = found


@njit(nogil=True, cache=True)
def _fill(f, x, g, y, h, z, cell, runs, rows, limit, apart, indptr, names, width, columns, square, start, stop):
    """Columns, ascending, and squared distances of the rows from `start` to `stop`.

    The candidates of a run are measured first, which vectorises, then the near ones moved to the front.
    """
    one = np.uint64(1)
    run, near, gaps = np.empty(width, x.dtype), np.empty(width, columns.dtype), np.empty(width, x.dtype)
    for r in range(start, stop):
        a, found = rows[r], np.uint64(0)
        xa, ya, za, c = f * x[a], g * y[a], h * z[a], cell[a]
        for k in range(runs.shape[1]):
            first = np.uint64(runs[c, k, 0])
            length = np.uint64(runs[c, k, 1]) - first
            for q in range(length):
                u, v, w = xa - f * x[first + q], ya - g * y[first + q], za - h * z[first + q]
                run[q] = u * u + v * v + w * w
            for q in range(length):
                s = run[q]
                near[found], gaps[found] = first + q, s
                found += np.uint64((s <= limit) & ((s > 0) | (not apart)))
        if len(names):
            for q in range(found):
                near[q] = names[near[q]]
            if found > INSERTED:
                order = np.argsort(near[:found])
                near[:found], gaps[:found] = near[order], gaps[order]
            else:
                for q in range(one, found):
                    name, s, p = near[q], gaps[q], q
                    while p > 0 and near[p - one] > name:
                        near[p], gaps[p] = near[p - one], gaps[p - one]
                        p -= one
                    near[p], gaps[p] = name, s
        place = np.uint64(indptr[r])
        for q in range(found):
            columns[place + q], square[place + q] = near[q], gaps[q]
