"""The convolution on a grid with a stencil of few points, summed directly.

Lines of the grid that count alike are added first, such as those above and below: 49 sums and 56 products for a radial
kernel in a ball of 4 cells, which has 257.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

from nlmodel._jit import compiled
from nlmodel.operators.threads import BLOCKS_PER_CORE, cores, every


MOST_OPERATIONS = 192  # a position; above, transforms of a large grid take less time
FROM_BYTES = 2**19  # of the fields; below, transforms are done before the threads have begun
FIELD_BYTES = 2**15  # of each; below, transforms of many at once are done before one call a field
BOX_BYTES = 2**20  # of a box and its surroundings
SHORTEST = 8  # side of a box in positions

Box: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Stencil:
    """Weights of a few offsets, as groups of lines along the last axis that have the same weights.

    Attributes
    ----------
    reach : offsets on either side along each of three axes.
    groups, lines : (G + 1,) and (R, 2), where the lines of each group begin, and their offsets from the first corner.
    starts, taps, weights : (G + 1,), (T,) and (T,), the weights of each group and their offsets along a line.
    periodic : whether the grid is wrapped round; otherwise fields are 0 beyond it.

    Cost     R + T operations a position; beside the result one box a thread.
    """

    reach: tuple[int, int, int]
    groups: np.ndarray
    lines: np.ndarray
    starts: np.ndarray
    taps: np.ndarray
    weights: np.ndarray
    periodic: bool

    @property
    def loops(self) -> ModuleType | None:
        """What `apply` needs, None without numba."""
        return compiled("operators.grid_stencil_compiled")

    @property
    def operations(self) -> int:
        """Sums and products a position."""
        return len(self.lines) + len(self.taps)

    @classmethod
    def of(cls, values: np.ndarray, dtype: np.dtype, *, periodic: bool) -> Stencil | None:
        """Of (2 r_1 + 1, 2 r_2 + 1, 2 r_3 + 1) weights, or None where transforms take less time."""
        values = values[_within_reach(values)]
        lines = np.argwhere(np.any(values, axis=2))
        if len(lines) > MOST_OPERATIONS:
            return None
        rows, group = np.unique(values[tuple(lines.T)], axis=0, return_inverse=True)
        order = np.argsort(group, kind="stable")
        line, taps = np.nonzero(rows)
        if len(lines) + len(taps) > MOST_OPERATIONS:
            return None
        n1, n2, n3 = values.shape
        return cls(
            (n1 // 2, n2 // 2, n3 // 2),
            np.searchsorted(group[order], np.arange(len(rows) + 1)),
            lines[order],
            np.searchsorted(line, np.arange(len(rows) + 1)),
            taps,
            rows[line, taps].astype(dtype),
            periodic,
        )

    def scaled(self, factor: float) -> Stencil:
        """All weights times a number."""
        return replace(self, weights=self.weights * self.weights.dtype.type(factor))

    def apply(
        self,
        source: np.ndarray,
        left: np.ndarray | None,
        right: np.ndarray | None,
        rate: np.ndarray | None,
    ) -> np.ndarray:
        """diag(left) T diag(right) - diag(rate) on fields (B, C, n_1, n_2, n_3) in any order in memory; contiguous."""
        loops: Any = self.loops
        result = np.empty(source.shape, self.weights.dtype)
        none, ones = np.empty((1, 1, 0), result.dtype), np.ones(len(self.lines), result.dtype)
        right, left, rate = (none if v is None else v for v in (right, left, rate))
        lists = self.groups, self.lines, ones, self.starts, self.taps, self.weights

        def act(item: tuple[int, int, Box]) -> None:
            b, c, box = item
            scalings = right, left, rate
            loops.on_box(source[b, c], *scalings, result[b, c], box, self.reach, self.periodic, *lists)

        fields = itertools.product(*map(range, source.shape[:2]))
        parts = boxes(source.shape[2:], self.reach, result.itemsize, source.shape[0] * source.shape[1])
        every(act, [(b, c, box) for b, c in fields for box in parts])
        return result


def _within_reach(values: np.ndarray) -> tuple[slice, ...]:
    """Where the weights are that are not 0, as far on either side."""
    middle = np.array(values.shape) // 2
    reach = np.max(np.abs(np.argwhere(values) - middle), axis=0, initial=0)
    return tuple(slice(m - r, m + r + 1) for m, r in zip(middle, reach, strict=True))


def boxes(grid: tuple[int, ...], reach: tuple[int, ...], itemsize: int, fields: int = 1) -> list[Box]:
    """Boxes that cover the grid, small enough for the caches, and of all fields enough for the threads."""
    sides = list(grid)

    def too_large() -> bool:
        surrounded = np.prod([s + 2 * r for s, r in zip(sides, reach, strict=True)]) * itemsize
        count = np.prod([-(-n // s) for n, s in zip(grid, sides, strict=True)])
        return bool(surrounded > BOX_BYTES or count * fields < BLOCKS_PER_CORE * cores())

    while too_large() and max(sides) > SHORTEST:
        longest = int(np.argmax(sides[:2])) if max(sides[:2]) > SHORTEST else 2
        sides[longest] = -(-sides[longest] // 2)
    cuts = [[(i, min(i + s, n)) for i in range(0, n, s)] for n, s in zip(grid, sides, strict=True)]
    return [(*a, *b, *c) for a, b, c in itertools.product(*cuts)]
