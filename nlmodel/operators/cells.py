"""Points sorted by cells as wide as the horizon: the neighbours of a point stand in a few runs of the sorted points."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np


MARGIN = 1e-3  # by which cells are wider than the reach, more than rounding moves a point
FINEST = 2.0**40  # cells along an axis; beyond, rounding would move points by more than the margin
MOST_CELLS = 2.0**62  # in all, empty ones included, so that a cell's number is an int64


@dataclass(frozen=True, eq=False, repr=False)
class Cells:
    """M points in the order of their cells, cells numbered along the last axis first.

    Neighbours within `reach` of a point are in its own or an adjacent cell.  Cells adjacent along the last axis follow
    each other, so that those 3^D cells are 3^(D-1) runs of points, in ascending order.

    Attributes
    ----------
    order : (M,) int32 or int64; X[order] are the sorted points.
    points : (D, M) contiguous array, their coordinates.
    cell : (M,) int32 or int64, to which of the occupied cells each belongs.
    runs : (cells, 3^(D-1), 2) array, first and last plus one of the points near those of a cell.
    reach : pairs at this distance or below it are neighbours.

    Cost     O(M log(cells)) time; beside these arrays about 24 bytes a point for a moment.
    """

    order: np.ndarray
    points: np.ndarray
    cell: np.ndarray
    runs: np.ndarray
    reach: float

    @classmethod
    def of(cls, X: np.ndarray, reach: float) -> Cells:
        """The cells of X, an (M, D) array, for pairs at most `reach` apart."""
        index = cls.index(len(X))
        keys, strides = _numbers(X, reach)
        order = _stable_order(keys).astype(index)
        keys = keys[order]
        new = np.empty(len(keys), dtype=bool)
        new[0] = True
        np.not_equal(keys[1:], keys[:-1], out=new[1:])
        cell = np.cumsum(new, dtype=index)
        cell -= 1
        occupied, starts = keys[new], np.append(np.flatnonzero(new), len(keys)).astype(index)
        del keys, new
        points = np.empty(X.shape[::-1], dtype=X.dtype.newbyteorder("="))
        for d in range(len(points)):
            points[d] = X[:, d][order]
        return cls(order, points, cell, _runs(occupied, starts, strides), reach)

    @staticmethod
    def index(count: int) -> type[np.integer]:
        """The narrower integer that counts so far."""
        return np.int32 if count <= np.iinfo(np.int32).max else np.int64

    @cached_property
    def candidates(self) -> np.ndarray:
        """(cells,) how many points the runs of a cell hold."""
        return (self.runs[..., 1] - self.runs[..., 0]).sum(axis=1, dtype=np.int64)

    @property
    def total(self) -> int:
        """How many candidate pairs there are."""
        return int(np.dot(self.candidates, np.bincount(self.cell)))

    @property
    def stride(self) -> float:
        """How far apart points that follow each other in space are in the order of the user, on the average."""
        return float(np.mean(np.abs(np.diff(self.order)))) if len(self.order) > 1 else 0.0

    def chunks(self, rows: np.ndarray, most: int) -> list[tuple[slice, float]]:
        """Slices of `rows`, sorted points, with at most so many candidate pairs each, or of one row.

        Each with the share of all candidates that is dealt with after it.
        """
        sums = np.cumsum(self.candidates[self.cell[rows]])
        bounds = [0]
        while bounds[-1] < len(sums):
            before = sums[bounds[-1] - 1] if bounds[-1] else 0
            bounds.append(max(bounds[-1] + 1, int(np.searchsorted(sums, before + most, side="right"))))
        return [(slice(a, b), float(sums[b - 1] / sums[-1])) for a, b in itertools.pairwise(bounds)]


def _numbers(X: np.ndarray, reach: float) -> tuple[np.ndarray, list[int]]:
    """The number of the cell of each point, and what it grows by from cell to cell along each axis but the last.

    An empty cell at both ends of each row of cells keeps those of the next row apart.
    """
    dim = X.shape[1]
    halves = [0.5 * X[:, d].astype(np.float64) for d in range(dim)]  # whose differences are finite
    extent = [float(np.max(x) - np.min(x)) for x in halves]
    coarsest = max(extent) / min(FINEST, MOST_CELLS ** (1 / dim) / 4)
    width = max(0.5 * reach * (1 + MARGIN), coarsest, float(np.finfo(np.float64).tiny))
    sizes = [int(e / width) + 3 for e in extent]
    keys = np.zeros(len(X), dtype=np.int64)
    for x, size in zip(halves, sizes, strict=True):
        keys *= size
        x -= np.min(x)
        x /= width
        keys += x.astype(np.int64)
        keys += 1
    strides = [int(np.prod(sizes[d + 1 :], dtype=object)) for d in range(dim - 1)]
    return keys, strides


def _stable_order(keys: np.ndarray) -> np.ndarray:
    """argsort of nonnegative integers that keeps the order of equal ones; 16 bits at a time, which takes O(M)."""
    order, shift = np.argsort(keys.astype(np.uint16), kind="stable"), 16
    while int(np.max(keys)) >> shift:
        order = order[np.argsort((keys[order] >> shift).astype(np.uint16), kind="stable")]
        shift += 16
    return order


def _runs(occupied: np.ndarray, starts: np.ndarray, strides: list[int]) -> np.ndarray:
    """Of each occupied cell the points of the rows of three cells around it, rows in ascending order."""
    shifts = [sum(steps) for steps in itertools.product(*[(-s, 0, s) for s in strides])]
    runs = np.empty((len(occupied), len(shifts), 2), dtype=starts.dtype)
    for k, shift in enumerate(shifts):
        runs[:, k, 0] = starts[np.searchsorted(occupied, occupied + (shift - 1), side="left")]
        runs[:, k, 1] = starts[np.searchsorted(occupied, occupied + (shift + 1), side="right")]
    return runs
