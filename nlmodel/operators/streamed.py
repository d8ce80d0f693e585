"""omega of points and a kernel, never stored: tiles of it are evaluated, used and forgotten."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nlmodel._arrays import Array, device, log_sum_exp, namespace, recomputed, transpose
from nlmodel.kernels import Kernel
from nlmodel.normalization import (
    exponential,
    is_mirrored,
    is_nonnegative,
    log_weights_of,
    row_tops,
)
from nlmodel.normalization.row_sums import check_positive
from nlmodel.operators.affinity import Affinity
from nlmodel.operators.algebra import identity_like
from nlmodel.operators.compiled import product
from nlmodel.operators.linear_map import match
from nlmodel.operators.threads import in_order


TILE = 512  # rows and columns: a tile in double precision and its temporaries stay in the cache of a core

DIAGONAL_TILE = 16  # a kernel gives matrices, of which the diagonal is wanted


@dataclass(frozen=True, eq=False, repr=False)
class StreamedAffinity(Affinity):
    """exp(left_i) omega(x_i, x_j) exp(right_j) of M points, evaluated tile by tile at each product.

    Exact: the kernel's own definition, added up over tiles; of an exponential kernel the exponents are added first.
    Points in NumPy use all cores, those in other libraries that library's own threads or device.  A symmetric kernel
    of NumPy points is looked at once a pair, in compiled loops for the common ones where numba is installed: `product`
    of `compiled`, which stands for this definition.

    Attributes
    ----------
    points : (..., M, D) array.
    left, right : (..., M) logarithms of the scalings.

    Accuracy as `DenseAffinity`; sums of M terms are added in blocks of 512, so that their error grows with M / 512.
    Cost     of a product: O(M^2 (D + C)) time, O(M C) memory and a tile a core; with autograd O(M (D + C)) too: tiles
             are evaluated again in the backward pass.
    """

    points: Array
    kernel: Kernel
    left: Array
    right: Array
    symmetric: bool | None
    nonnegative: bool
    storage = "streamed"

    @classmethod
    def of(cls, points: Array, kernel: Kernel) -> StreamedAffinity:
        """omega itself; symmetry and sign are measured, tile by tile, where the kernel does not declare them."""
        xp = namespace(points)
        zero = xp.zeros(points.shape[:-1], dtype=points.dtype, device=device(points))
        raw = cls(points, kernel, zero, zero, None, True)
        symmetric = bool(kernel.symmetric) or raw._is_symmetric()
        return replace(raw, symmetric=symmetric, nonnegative=bool(kernel.nonnegative) or raw._is_nonnegative())

    @property
    def shape(self) -> tuple[int, ...]:
        M = self.points.shape[-2]
        return (*self.points.shape[:-2], M, M)

    @property
    def dtype(self) -> Any:
        return self.points.dtype

    def apply(self, Z: Array) -> Array:
        found = self._by_pairs(Z, self.left, self.right)
        return self._product(Z, self._tile) if found is None else found.astype(Z.dtype)

    def apply_transposed(self, Z: Array) -> Array:
        found = self._by_pairs(Z, self.right, self.left)
        if found is not None:
            return found.astype(Z.dtype)
        return self._product(Z, lambda rows, columns: transpose(self._tile(columns, rows)))

    def to_dense(self) -> Array:
        return self._tile(slice(None), slice(None))

    def diagonal(self) -> Array:
        xp = namespace(self.points)
        blocks = [self._tile(rows, rows) for rows in self._tiles(DIAGONAL_TILE)]
        return xp.concat([xp.linalg.diagonal(block) for block in blocks], axis=-1)

    def rescaled(self, left: Array, right: Array) -> StreamedAffinity:
        return replace(self, left=self.left + left, right=self.right + right, symmetric=None)

    def log_weights(self, weights: float | Array | None) -> Array:
        return log_weights_of(weights, self.left)

    def identity(self, size: int) -> Array:
        return identity_like(self.points, size)

    def log_row_sums(self, log_weights: Array) -> Array:
        """Of an exponential kernel from the logarithms, tile by tile: nothing overflows."""
        if (sums := self._log_sums_by_pairs(log_weights)) is not None:
            return sums
        if not self.kernel.exponential:
            return super().log_row_sums(log_weights)
        xp, right = namespace(self.points), self.right + log_weights

        def of_tile(rows: slice, columns: slice, right: Array) -> Array:
            logits = self.kernel.log_evaluate(self.points[..., rows, :], self.points[..., columns, :])
            return log_sum_exp(logits + self.left[..., rows, None] + right[..., None, :])

        def of_rows(rows: slice) -> Array:
            parts = [recomputed(of_tile, rows, columns, right[..., columns]) for columns in self._tiles()]
            return log_sum_exp(xp.stack(parts, axis=-1))

        sums = xp.concat(self._every(of_rows), axis=-1)
        positive = sums > -math.inf
        check_positive(xp.astype(positive, sums.dtype), positive)
        return sums

    def _by_pairs(self, Z: Array, left: Array, right: Array) -> np.ndarray | None:
        """exp(left) omega exp(right) Z with each pair looked at once, in double precision, where that can be done."""
        plain = isinstance(self.points, np.ndarray) and isinstance(Z, np.ndarray) and self.points.ndim == Z.ndim == 2
        return product(self.kernel, self.points, Z, left, right) if plain else None

    def _log_sums_by_pairs(self, log_weights: Array) -> np.ndarray | None:
        if not isinstance(self.points, np.ndarray) or self.points.ndim != 2:
            return None
        ones = np.ones((len(self.points), 1), self.points.dtype)
        shift = self.left.astype(np.float64)
        sums = self._by_pairs(ones, np.zeros_like(shift), self.right + log_weights)
        if sums is None:
            return None
        check_positive(sums[:, 0], sums[:, 0] > 0)
        return (np.log(sums[:, 0]) + shift).astype(self.dtype)

    def _product(self, Z: Array, tile: Callable[[slice, slice], Array]) -> Array:
        def of_tile(rows: slice, columns: slice, part: Array) -> Array:
            return namespace(part).matmul(match(tile(rows, columns), part), part)

        def of_rows(rows: slice) -> Array:
            return sum(recomputed(of_tile, rows, columns, Z[..., columns, :]) for columns in self._tiles())

        return namespace(Z).concat(self._every(of_rows), axis=-2)

    def _tile(self, rows: slice, columns: slice) -> Array:
        X = self.points
        return self._entries(X[..., rows, :], X[..., columns, :], self.left[..., rows], self.right[..., columns])

    def _entries(self, X: Array, Y: Array, left: Array, right: Array) -> Array:
        left, right = left[..., :, None], right[..., None, :]
        if self.kernel.exponential:
            return exponential(self.kernel.log_evaluate(X, Y) + left + right)
        exp = namespace(X).exp
        return exp(left) * self.kernel.evaluate(X, Y) * exp(right)

    def _tiles(self, size: int | None = None) -> list[slice]:
        M, size = self.shape[-1], TILE if size is None else size
        return [slice(start, min(start + size, M)) for start in range(0, M, size)]

    def _every(self, of_rows: Callable[[slice], Any]) -> list[Any]:
        """`of_rows` of all tiles in order; on all cores for NumPy, which leaves the others idle."""
        tiles = self._tiles()
        if len(tiles) == 1 or not isinstance(self.points, np.ndarray):
            return [of_rows(rows) for rows in tiles]
        return list(in_order(of_rows, tiles))

    def _raw(self, rows: slice, columns: slice) -> Array:
        """omega, or log omega of an exponential kernel, unscaled and checked."""
        X, Y = self.points[..., rows, :], self.points[..., columns, :]
        return self.kernel.log(X, Y) if self.kernel.exponential else self.kernel(X, Y)

    def _is_symmetric(self) -> bool:
        log, tiles = self.kernel.exponential, self._tiles()

        def top(rows: slice) -> Array:
            xp = namespace(self.points)
            return xp.max(xp.stack([row_tops(self._raw(rows, columns), log=log) for columns in tiles]), axis=0)

        tops = namespace(self.points).concat(self._every(top), axis=-1)

        def mirrored(rows: slice) -> bool:
            return all(
                is_mirrored(
                    self._raw(rows, columns),
                    transpose(self._raw(columns, rows)),
                    tops[..., rows],
                    tops[..., columns],
                    log=log,
                )
                for columns in tiles
                if columns.start <= rows.start
            )

        return all(self._every(mirrored))

    def _is_nonnegative(self) -> bool:
        if self.kernel.exponential:
            return True
        return all(self._every(lambda rows: all(is_nonnegative(self._raw(rows, c)) for c in self._tiles())))
