"""Neighbours among the points of cells, by array operations alone."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from nlmodel.operators.cells import Cells
from nlmodel.operators.growing import Growing
from nlmodel.operators.threads import in_order


CHUNKS = 1024  # of candidates, so that those in work are a hundredth of the matrix
PAIRS_PER_CHUNK = 262_144  # at least, as each has its price


def pairs(
    cells: Cells, rows: np.ndarray, limit: np.floating, apart: bool, named: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs of some of the sorted points with all others, row by row, columns ascending.

    Parameters
    ----------
    rows : (r,) places among the sorted points.
    limit : largest squared distance, in the precision of the points.
    apart : leave out pairs at distance 0.
    named : give columns the numbers of the user, not those of the sorted points.

    Returns  where each row begins (r + 1,), columns (n,), both int32 while that suffices; squared distances (n,).
    """
    counts, columns, square = [], Growing(cells.order.dtype), Growing(cells.points.dtype)
    chunks = cells.chunks(rows, max(PAIRS_PER_CHUNK, cells.total // CHUNKS))
    found = in_order(lambda chunk: _neighbours(cells, rows[chunk[0]], limit, apart, named), chunks)
    for (_, share), (near, gaps, lengths) in zip(chunks, found, strict=True):
        counts.append(lengths)
        columns.append(near, share)
        square.append(gaps, share)
    lengths = np.concatenate(counts)
    index = cells.index(int(np.sum(lengths)))
    indptr = np.zeros(len(rows) + 1, dtype=index)
    np.cumsum(lengths, out=indptr[1:])
    return indptr, columns.whole().astype(index, copy=False), square.whole()


def _neighbours(
    cells: Cells, rows: np.ndarray, limit: np.floating, apart: bool, named: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns, squared distances, and the length of each row."""
    first, last = np.moveaxis(cells.runs[cells.cell[rows]], -1, 0)
    lengths = last - first
    candidates = np.sum(lengths, axis=1, dtype=np.int64)
    lengths, first = lengths.ravel(), first.ravel()
    ends = np.cumsum(lengths)
    columns = np.arange(ends[-1], dtype=cells.order.dtype)
    columns += np.repeat(first - (ends - lengths).astype(first.dtype), lengths)
    square = np.zeros(len(columns), dtype=cells.points.dtype)
    with np.errstate(over="ignore"):  # an infinite square lies beyond every finite horizon
        for x in cells.points:
            gap = np.repeat(x[rows], candidates)
            gap -= x[columns]
            gap *= gap
            square += gap
    near = square <= limit
    if apart:
        near &= square > 0
    found = np.flatnonzero(near)
    bounds = np.searchsorted(found, np.concatenate([[0], np.cumsum(candidates)]))
    columns, square = columns[found], square[found]
    if named:
        pairs = csr_array((square, cells.order[columns], bounds), shape=(len(rows), len(cells.order)))
        pairs.sort_indices()
        columns, square = pairs.indices, pairs.data
    return columns, square, np.diff(bounds)
