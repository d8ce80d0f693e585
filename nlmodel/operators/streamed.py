"""omega of points and a kernel, never stored: tiles of it are evaluated, used and forgotten."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nlmodel._arrays import Array, device, log_sum_exp, namespace, recomputed, transpose
from nlmodel.kernels import Kernel
from nlmodel.normalization import exponential, log_weights_of
from nlmodel.normalization.row_sums import check_positive
from nlmodel.operators.affinity import Affinity
from nlmodel.operators.algebra import identity_like
from nlmodel.operators.compiled import KINDS, product_of
from nlmodel.operators.exponents import Tiles, exponents_of
from nlmodel.operators.linear_map import match
from nlmodel.operators.measured import Measured
from nlmodel.operators.numpy_fields import held_in_numpy, through_numpy
from nlmodel.operators.threads import in_order


TILE = 512  # rows and columns: a tile in double precision and its temporaries stay in the cache of a core
TENSOR_TILE = 1024  # in libraries whose threads share a tile
DEVICE_TILE = 4096  # on an accelerator, where a launch takes longer than a tile of 1024
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
        raw = cls.declared(points, kernel)
        seen = raw._measured()
        symmetric, nonnegative = raw.symmetric or seen.is_symmetric(), raw.nonnegative or seen.is_nonnegative()
        return replace(raw, symmetric=symmetric, nonnegative=nonnegative)

    @classmethod
    def declared(cls, points: Array, kernel: Kernel) -> StreamedAffinity:
        """omega itself, of which is known what the kernel declares: no entry is evaluated."""
        xp = namespace(points)
        zero = xp.zeros(points.shape[:-1], dtype=points.dtype, device=device(points))
        return cls(points, kernel, zero, zero, bool(kernel.symmetric), bool(kernel.nonnegative))

    @property
    def shape(self) -> tuple[int, ...]:
        M = self.points.shape[-2]
        return (*self.points.shape[:-2], M, M)

    @property
    def dtype(self) -> Any:
        return self.points.dtype

    def apply(self, Z: Array) -> Array:
        found = self._by_pairs(Z, self.left, self.right)
        return self._by_tiles(Z, self._entries()) if found is None else found

    def apply_transposed(self, Z: Array) -> Array:
        found = self._by_pairs(Z, self.right, self.left)
        if found is not None:
            return found
        entries = self._entries()
        return self._by_tiles(Z, lambda rows, columns: transpose(entries(columns, rows)))

    def apply_both(self, Z: Array, Y: Array) -> tuple[Array, Array]:
        if type(Z) is type(Y) and Z.ndim == Y.ndim and (found := self._both_by_pairs(Z, Y)) is not None:
            return found
        entries, tiles = self._entries(), self._tiles()

        def of_tile(rows: slice, columns: slice, ahead: Array, behind: Array) -> tuple[Array, Array]:
            tile, xp = entries(rows, columns), namespace(ahead)
            return xp.matmul(match(tile, ahead), ahead), xp.matmul(transpose(match(tile, behind)), behind)

        def of_rows(rows: slice) -> tuple[Array, Array]:
            found = [recomputed(of_tile, rows, columns, Z[..., columns, :], Y[..., rows, :]) for columns in tiles]
            ahead, behind = zip(*found, strict=True)
            return sum(ahead), namespace(Y).concat(behind, axis=-2)

        ahead, behind = [], 0
        for of_these, of_all in self._each(of_rows):
            ahead.append(of_these)
            behind = behind + of_all
        return namespace(Z).concat(ahead, axis=-2), behind

    def averages(self, Z: Array, log_weights: Array) -> Array:
        """sum_j omega_ij exp(b_j) Z_j / sum_j omega_ij exp(b_j): row sums and product with every entry evaluated once.

        Of an exponential kernel from the logarithms, under the largest of each row and tile: nothing overflows.
        """
        xp, right, field = namespace(self.right), self.right + log_weights, with_ones(Z)
        found = self._by_pairs(field, xp.zeros_like(right), right)
        if found is None and self.kernel.exponential:
            found = self._softmax(field, right)
        elif found is None:
            right = right - xp.max(right, axis=-1, keepdims=True)
            found = self._by_tiles(field, replace(self, left=xp.zeros_like(right), right=right)._entries())
        sums = found[..., -1]
        check_positive(sums, sums > 0)
        return found[..., :-1] / sums[..., None]

    def to_dense(self) -> Array:
        return self._entries()(slice(None), slice(None))

    def diagonal(self) -> Array:
        xp, entries = namespace(self.points), self._entries()
        blocks = [entries(rows, rows) for rows in self._tiles(DIAGONAL_TILE)]
        return xp.concat([xp.linalg.diagonal(block) for block in blocks], axis=-1)

    def rescaled(self, left: Array, right: Array) -> StreamedAffinity:
        return replace(self, left=self.left + left, right=self.right + right, symmetric=None)

    def log_weights(self, weights: float | Array | None) -> Array:
        return log_weights_of(weights, self.left)

    def identity(self, size: int) -> Array:
        return identity_like(self.points, size)

    def log_row_sums(self, log_weights: Array) -> Array:
        """Of an exponential kernel from the logarithms, tile by tile: nothing overflows."""
        xp, right = namespace(self.points), self.right + log_weights
        ones = xp.ones((self.shape[-1], 1), dtype=self.dtype, device=device(self.points))
        sums = self._by_pairs(ones, xp.zeros_like(right), right)
        if sums is not None:
            check_positive(sums[:, 0], sums[:, 0] > 0)
            return xp.log(sums[:, 0]) + self.left
        if not self.kernel.exponential:
            return super().log_row_sums(log_weights)
        exponents, tiles = exponents_of(self.kernel, self.points), self._tiles()

        def of_tile(rows: slice, columns: slice, right: Array) -> Array:
            return log_sum_exp(exponents(rows, columns) + self.left[..., rows, None] + right[..., None, :])

        def of_rows(rows: slice) -> Array:
            return log_sum_exp(
                xp.stack([recomputed(of_tile, rows, columns, right[..., columns]) for columns in tiles], axis=-1)
            )

        logs = xp.concat(list(self._each(of_rows)), axis=-1)
        positive = logs > -math.inf
        check_positive(xp.astype(positive, logs.dtype), positive)
        return logs

    def _by_pairs(self, Z: Array, left: Array, right: Array) -> Array | None:
        """exp(left) omega exp(right) Z with each pair looked at once in NumPy, where that can be done.

        A kernel that the library does not know may want the tensors that it is given.
        """
        known = isinstance(self.points, np.ndarray) or type(self.kernel) in KINDS
        held = held_in_numpy(self.points, left, right) if known and self.points.ndim == Z.ndim == 2 else None
        if held is None:
            return None
        X, left, right = held
        ahead = product_of(self.kernel, X, left, right)
        behind = ahead if isinstance(Z, np.ndarray) else product_of(self.kernel, X, right, left)
        if ahead is None or behind is None:
            return None
        return through_numpy(lambda V: ahead(V).astype(V.dtype), lambda V: behind(V).astype(V.dtype), Z)

    def _both_by_pairs(self, Z: Array, Y: Array) -> tuple[Array, Array] | None:
        """Side by side, which a symmetric kernel allows: e^l omega e^r Z and its mirror image e^r omega e^l Y."""
        if (held := held_in_numpy(self.left, self.right)) is None:
            return None
        columns, (left, right) = (Z.shape[-1], Y.shape[-1]), held
        left, right = (
            np.repeat(np.stack(scalings, axis=-1), columns, axis=-1) for scalings in ((left, right), (right, left))
        )
        found = self._by_pairs(namespace(Z).concat([Z, Y], axis=-1), left, right)
        return None if found is None else (found[:, : columns[0]], found[:, columns[0] :])

    def _by_tiles(self, Z: Array, entries: Tiles) -> Array:
        tiles = self._tiles()

        def of_tile(rows: slice, columns: slice, part: Array) -> Array:
            return namespace(part).matmul(match(entries(rows, columns), part), part)

        def of_rows(rows: slice) -> Array:
            return sum(recomputed(of_tile, rows, columns, Z[..., columns, :]) for columns in tiles)

        return namespace(Z).concat(list(self._each(of_rows)), axis=-2)

    def _softmax(self, Z: Array, right: Array) -> Array:
        """omega exp(right) Z, each row divided by its largest term."""
        exponents, tiles = exponents_of(self.kernel, self.points), self._tiles()

        def of_tile(rows: slice, columns: slice, right: Array, part: Array) -> tuple[Array, Array]:
            logits = exponents(rows, columns) + right[..., None, :]
            xp = namespace(logits)
            top = xp.max(logits, axis=-1, keepdims=True)
            return namespace(part).matmul(match(xp.exp(logits - finite(top)), part), part), top

        def of_rows(rows: slice) -> Array:
            found = [recomputed(of_tile, rows, c, right[..., c], Z[..., c, :]) for c in tiles]
            parts, tops = zip(*found, strict=True)
            xp = namespace(tops[0])
            top = finite(xp.max(xp.stack(tops), axis=0))
            return sum(match(xp.exp(own - top), part) * part for part, own in zip(parts, tops, strict=True))

        return namespace(Z).concat(list(self._each(of_rows)), axis=-2)

    def _entries(self) -> Tiles:
        """(rows, columns) -> exp(left_i) omega_ij exp(right_j)."""
        X, left, right = self.points, self.left[..., :, None], self.right[..., None, :]
        if self.kernel.exponential:
            exponents = exponents_of(self.kernel, X)
            return lambda i, j: exponential(exponents(i, j) + left[..., i, :] + right[..., j])
        evaluate, exp = self.kernel.evaluate, namespace(X).exp
        return lambda i, j: exp(left[..., i, :]) * evaluate(X[..., i, :], X[..., j, :]) * exp(right[..., j])

    def _tiles(self, size: int | None = None) -> list[slice]:
        M, size = self.shape[-1], size or tile_size(self.points)
        return [slice(start, min(start + size, M)) for start in range(0, M, size)]

    def _each(self, of_rows: Callable[[slice], Any]) -> Iterable[Any]:
        """`of_rows` of all tiles in order; on all cores for NumPy, which leaves the others idle."""
        tiles = self._tiles()
        if len(tiles) == 1 or not isinstance(self.points, np.ndarray):
            return map(of_rows, tiles)
        return in_order(of_rows, tiles)

    def _measured(self) -> Measured:
        """omega, or log omega of an exponential kernel, unscaled and checked, to look at."""
        X, log = self.points, self.kernel.exponential
        evaluate = self.kernel.log if log else self.kernel
        return Measured(lambda i, j: evaluate(X[..., i, :], X[..., j, :]), log, self._tiles(), self._each)


def tile_size(points: Array) -> int:
    """Rows and columns of a tile."""
    if isinstance(points, np.ndarray):
        return TILE
    return TENSOR_TILE if getattr(device(points), "type", "cpu") == "cpu" else DEVICE_TILE


def with_ones(Z: Array) -> Array:
    """`Z` and a channel of ones, whose product is the row sums."""
    xp = namespace(Z)
    return xp.concat([Z, xp.ones((*Z.shape[:-1], 1), dtype=Z.dtype, device=device(Z))], axis=-1)


def finite(top: Array) -> Array:
    """The largest of each row, 0 where all are -inf."""
    xp = namespace(top)
    return xp.where(xp.isfinite(top), top, xp.zeros_like(top))
