"""Symmetry and sign of an affinity that is seen tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from nlmodel._arrays import Array, namespace, transpose
from nlmodel.normalization import is_mirrored, is_nonnegative, row_tops
from nlmodel.operators.exponents import Tiles


@dataclass(frozen=True)
class Measured:
    """omega, or its logarithm where `log` is true, of which nothing is declared.

    Attributes
    ----------
    raw : (rows, columns) -> the tile.
    tiles : the ranges of rows, and of columns.
    each : what calls a function with every range of rows and gives its results in order.
    """

    raw: Tiles
    log: bool
    tiles: list[slice]
    each: Callable[[Callable[[slice], Any]], Iterable[Any]]

    def is_symmetric(self) -> bool:
        """Whether each entry is its mirror image, but for what rounding may do to the largest of its row."""
        tops = list(self.each(self._top))
        largest = namespace(*tops).concat(tops, axis=-1)
        return all(self.each(lambda rows: self._is_mirrored(rows, largest)))

    def is_nonnegative(self) -> bool:
        """Whether no entry is negative."""
        return self.log or all(
            self.each(lambda rows: all(is_nonnegative(self.raw(rows, columns)) for columns in self.tiles))
        )

    def _top(self, rows: slice) -> Array:
        tops = [row_tops(self.raw(rows, columns), log=self.log) for columns in self.tiles]
        xp = namespace(*tops)
        return xp.max(xp.stack(tops), axis=0)

    def _is_mirrored(self, rows: slice, tops: Array) -> bool:
        for columns in self.tiles:
            if columns.start > rows.start:
                break
            here, there = self.raw(rows, columns), transpose(self.raw(columns, rows))
            if not is_mirrored(here, there, tops[..., rows], tops[..., columns], log=self.log):
                return False
        return True
