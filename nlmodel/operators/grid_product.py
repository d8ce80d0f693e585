"""The circular convolution with a real even symbol in place: nothing is kept beside the result but tiles in cache.

The transform of a real row of n numbers is held in those n numbers: X_0, then Re X_k and Im X_k for 0 < k < n/2, and
X_{n/2} last when n is even.  So the spectrum fits where the result will stand.

    rows      each slab along the first axis is copied to the result, transformed over the other axes
    columns   each tile of columns: transformed along the first axis, times the symbol, transformed back
    rows      each slab is transformed back over the other axes, scaled

Each array is passed through three times, where transform, product and inverse one after the other take eight and two
more arrays.  X_0 and X_{n/2} are real fields on the grid without its last axis, convolved with their own symbols.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import scipy.fft
import scipy.fftpack

from nlmodel.operators.grid_columns import Copies, copies
from nlmodel.operators.threads import BLOCKS_PER_CORE, cores, every


TILE_BYTES = 2**20  # so that a tile of columns of 4096 is 16 wide: whole cache lines of each row
APART = 8  # numbers between two columns of a tile, as those a power of two apart share too few places in the caches
SERIAL_BYTES = 2**19  # below, starting threads takes longer

Tile: TypeAlias = tuple[slice, ...]


@dataclass(frozen=True, eq=False)
class Convolution:
    """diag(left) T diag(right) - diag(rate) on real fields, T the circular convolution on a padded grid, cropped.

    Attributes
    ----------
    grid : (n_1, n_2, n_3), positions; axes that a grid of fewer dimensions lacks have length 1, the last is there.
    padded : (p_1, p_2, p_3), the period; fields are 0 beyond the grid.
    symbol : (p_3 // 2 + 1, p_2, p_1) real array, even modulo the period: the transform of an even stencil.
    left, right, rate : (n_1, n_2, n_3) real arrays, or None for 1, 1, 0.
    spare : arrays as large as a padded field that earlier calls have left; one is taken, and given back.
    """

    grid: tuple[int, int, int]
    padded: tuple[int, int, int]
    symbol: np.ndarray
    left: np.ndarray | None = None
    right: np.ndarray | None = None
    rate: np.ndarray | None = None
    spare: list[np.ndarray] = field(default_factory=list)

    def __call__(self, source: np.ndarray) -> np.ndarray:
        """Of fields of shape (B, C, n_1, n_2, n_3), in any order in memory; the result is contiguous."""
        batch, channels = source.shape[:2]
        (n1, _, _), (p1, p2, p3), dtype = self.grid, self.padded, self.symbol.dtype
        result = np.empty(source.shape, dtype)
        fits = self.grid[1:] == self.padded[1:]
        spectrum = result if fits else self._borrowed((batch, channels, n1, p2, p3))
        waves, large = (p3 - 1) // 2, spectrum.nbytes >= SERIAL_BYTES
        threads, move = cores() if large else 1, copies(large=large)
        parts = BLOCKS_PER_CORE * threads if large else 1
        slab = (p2 + APART if p2 > 1 else 1) * p3 * dtype.itemsize
        column = 2 * (p1 + APART) * dtype.itemsize
        slabs = tiles((batch, n1, channels), slab, parts)
        columns = tiles((batch, channels, p2, waves), column, parts)

        def run(work: Callable[[Tile, Columns], None], every_tile: list[Tile]) -> None:
            waiting = iter(every_tile)

            def some(_: int) -> None:
                workspace = Columns(move, dtype, max(TILE_BYTES, slab, column))
                for tile in waiting:
                    work(tile, workspace)

            every(some, range(threads))

        run(lambda tile, room: self._forward(source, spectrum, tile, room), slabs)
        self._convolve_ends(spectrum)
        run(lambda tile, room: self._convolve_columns(spectrum, tile, room), columns)
        run(lambda tile, room: self._backward(source, spectrum, result, tile, room), slabs)
        if not fits:
            self.spare.append(spectrum)
        return result

    def _borrowed(self, shape: tuple[int, ...]) -> np.ndarray:
        try:
            kept = self.spare.pop()  # by one thread alone
        except IndexError:
            kept = np.empty(0)
        return kept if kept.shape == shape else np.empty(shape, self.symbol.dtype)

    def _forward(self, source: np.ndarray, spectrum: np.ndarray, tile: Tile, room: Columns) -> None:
        """A slab: copied, scaled, transformed over all axes but the first."""
        b, i, c = tile
        _, n2, n3 = self.grid
        slab, given = spectrum[b, c, i], source[b, c, i]
        if self.right is None:
            slab[..., :n2, :n3] = given
        else:
            np.multiply(given, self.right[i], out=slab[..., :n2, :n3])
        slab[..., :n2, n3:] = 0
        slab[..., n2:, :] = 0
        overwrite(scipy.fftpack.rfft, slab[..., :n2, :])
        if self.padded[1] > 1:
            room.act(np.moveaxis(as_complex(slab), 3, 2), self.padded[1], transformed)

    def _convolve_columns(self, spectrum: np.ndarray, tile: Tile, room: Columns) -> None:
        """A tile of columns along the first axis, 0 < k < p_3 / 2."""
        b, c, j, k = tile
        symbol = self.symbol[k.start + 1 : k.stop + 1, j]

        def convolved(columns: np.ndarray) -> None:
            transformed(columns)
            room.move.multiply(columns, symbol)
            transformed_back(columns)

        room.act(as_complex(spectrum)[b, c, :, j, k], self.padded[0], convolved)

    def _convolve_ends(self, spectrum: np.ndarray) -> None:
        """The real fields at k = 0 and k = p_3 / 2, transformed over the two axes that are left."""
        (n1, _, _), (p1, p2, p3) = self.grid, self.padded
        at, k = ([0], [0]) if p3 % 2 else ([0, p3 - 1], [0, p3 // 2])
        ends: Any = np.moveaxis(spectrum[..., at], (2, 3, 4), (4, 3, 2))
        waves: Any = scipy.fft.rfftn(ends, s=(p2, p1), axes=(-2, -1))
        waves *= self.symbol[k, :, : p1 // 2 + 1]
        ends = scipy.fft.irfftn(waves, s=(p2, p1), axes=(-2, -1))
        spectrum[..., at] = np.moveaxis(ends[..., :n1], (4, 3, 2), (2, 3, 4))

    def _backward(
        self, source: np.ndarray, spectrum: np.ndarray, result: np.ndarray, tile: Tile, room: Columns
    ) -> None:
        """A slab: transformed back, scaled, less the rate times what was given."""
        b, i, c = tile
        _, n2, n3 = self.grid
        slab, out = spectrum[b, c, i], result[b, c, i]
        if self.padded[1] > 1:
            room.act(np.moveaxis(as_complex(slab), 3, 2), self.padded[1], transformed_back)
        overwrite(scipy.fftpack.irfft, slab[..., :n2, :])
        if self.left is not None:
            np.multiply(slab[..., :n2, :n3], self.left[i], out=out)
        elif spectrum is not result:
            out[...] = slab[..., :n2, :n3]
        if self.rate is not None:
            out -= self.rate[i] * source[b, c, i]


class Columns:
    """Room for a tile of columns, each contiguous: in the whole array they lie interleaved and a power of two apart,
    and would drive each other out of the cache."""

    def __init__(self, move: Copies, dtype: np.dtype, size: int):
        self.move, self.room = move, np.empty(size // dtype.itemsize // 2, np.result_type(dtype, np.complex64))

    def act(self, given: np.ndarray, length: int, action: Callable[[np.ndarray], None]) -> None:
        """`action` on the columns of `given`, (B, C, n, J, K), as rows of (B, C, J, K, length), beyond n zeros."""
        batch, channels, n, *across = given.shape
        shape = (batch, channels, *across, length + APART)
        columns = self.room[: int(np.prod(shape))].reshape(shape)[..., :length]
        self.move.gather(given, columns)
        columns[..., n:] = 0
        action(columns)
        self.move.scatter(columns, given)


def transformed(x: np.ndarray) -> None:
    """Put the transform of the rows into their place."""
    if x.shape[-1] > 1:
        overwrite(scipy.fft.fft, x)


def transformed_back(x: np.ndarray) -> None:
    """Put the inverse transform of the rows into their place."""
    if x.shape[-1] > 1:
        overwrite(scipy.fft.ifft, x)


def overwrite(transform: Callable[..., Any], x: np.ndarray) -> None:
    """Put the transform of the rows of `x` into `x`, whether or not it could be found there."""
    found = transform(x, axis=-1, overwrite_x=True)
    if not np.may_share_memory(found, x):
        x[...] = found


def tiles(shape: tuple[int, ...], each: int, parts: int) -> list[Tile]:
    """Boxes that cover the indices of `shape`, at `each` bytes an index within TILE_BYTES, the last axes whole first;
    about `parts` of them at least."""
    most = max(1, min(TILE_BYTES // each, -(-int(np.prod(shape)) // parts)))
    cuts = []
    for n in reversed(shape):
        length = min(n, most)
        cuts.append([slice(start, min(start + length, n)) for start in range(0, n, max(1, length))])
        most = max(1, most // max(1, length))
    return list(itertools.product(*reversed(cuts)))


def as_complex(spectrum: np.ndarray) -> np.ndarray:
    """X_k for 0 < k < n/2, as a view."""
    waves = (spectrum.shape[-1] - 1) // 2
    return spectrum[..., 1 : 1 + 2 * waves].view(np.result_type(spectrum.dtype, np.complex64))
