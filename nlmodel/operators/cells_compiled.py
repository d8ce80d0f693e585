"""Neighbours among the points of cells, by compiled loops; imported only where numba is there."""

from __future__ import annotations

import numpy as np
from numba import njit

from nlmodel.operators.cells import Cells


def neighbours(
    cells: Cells, rows: np.ndarray, limit: np.floating, apart: bool, named: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As the portable function of this name."""
    most = int(np.sum(cells.candidates[cells.cell[rows]]))
    columns = np.empty(most, dtype=cells.order.dtype)
    square = np.empty(most, dtype=cells.points.dtype)
    counts = np.empty(len(rows), dtype=np.int64)
    names = cells.order if named else cells.order[:0]
    found = _find(cells.points, cells.cell, cells.runs, rows, limit, apart, names, columns, square, counts)
    return columns[:found], square[:found], counts


@njit(nogil=True, cache=True)
def _find(points, cell, runs, rows, limit, apart, names, columns, square, counts):
    """Fill columns, squared distances and counts; how many were found.

    All candidates of a run are measured first, in loops that vectorise, and the near ones moved to the front: as many
    places as candidates are there, so that none is written over before it is looked at.
    """
    dimensions = points.shape[0]
    found = 0
    for r in range(len(rows)):
        before = found
        a = rows[r]
        for k in range(runs.shape[1]):
            first, last = runs[cell[a], k]
            n = last - first
            run = square[found : found + n]
            x = points[0, a]
            others = points[0, first:last]
            for q in range(n):
                gap = x - others[q]
                run[q] = gap * gap
            for d in range(1, dimensions):
                x = points[d, a]
                others = points[d, first:last]
                for q in range(n):
                    gap = x - others[q]
                    run[q] += gap * gap
            for q in range(n):
                s = run[q]
                columns[found] = first + q
                square[found] = s
                found += (s <= limit) and not (apart and s == 0)
        if len(names):
            _rename(names, columns[before:found], square[before:found])
        counts[r] = found - before
    return found


@njit(nogil=True, cache=True)
def _rename(names, columns, square):
    """Name the columns of one row and sort them: by insertion while they are few."""
    for q in range(len(columns)):
        columns[q] = names[columns[q]]
    if len(columns) > 64:
        order = np.argsort(columns)
        columns[:], square[:] = columns[order], square[order]
        return
    for q in range(1, len(columns)):
        column, s = columns[q], square[q]
        p = q
        while p > 0 and columns[p - 1] > column:
            columns[p], square[p] = columns[p - 1], square[p - 1]
            p -= 1
        columns[p], square[p] = column, s
