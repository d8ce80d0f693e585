"""omega of a radial kernel on a uniform grid: convolution by FFT or directly, periodic or with a free boundary."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.fft

from nlmodel._arrays import Array, check_choice, check_count, check_number, namespace
from nlmodel.errors import DomainError, DtypeError, ShapeError
from nlmodel.kernels import RadialKernel
from nlmodel.normalization import Potentials, log_weights_of
from nlmodel.operators.affinity import Affinity
from nlmodel.operators.grid_product import Convolution
from nlmodel.operators.grid_stencil import FIELD_BYTES, FROM_BYTES, Stencil
from nlmodel.operators.linear_map import match


BOUNDARIES = ("periodic", "free")
OFFSETS_PER_SLAB = 1_000_000  # of the stencil; 60 bytes each while they are sampled


@dataclass(frozen=True, eq=False, repr=False)
class GridAffinity(Affinity):
    """diag(left) T diag(right) with T_ij = rho(|x_i - x_j|) on a grid, M = prod(grid) positions in C order.

    "periodic": distances on the torus, all images within the horizon are added.  "free": only pairs inside the
    domain, by zero padding with the horizon; with the quadrature weights this is the integral over the domain
    alone, the nonlocal Neumann problem.  A kernel on all space is sampled until it is 0 to rounding.

    Accuracy of a product: eps log M times its largest entry, so that row sums are lost where weights vary by 1/eps.
    Cost: O(M log M) a channel; on NumPy fields no memory beyond the result, or a padded field that is kept.  A stencil
    of few offsets, 10 cells to either side in two dimensions, is summed directly on large NumPy fields where numba is
    there: O(M), in less time.
    """

    grid: tuple[int, ...]
    cell: float
    symbol: np.ndarray
    padded: tuple[int, ...]
    centre: float
    left: np.ndarray | None
    right: np.ndarray | None
    symmetric: bool | None
    nonnegative: bool
    rate: np.ndarray | None = None
    stencil: Stencil | None = None
    storage = "grid"

    @classmethod
    def build(
        cls,
        grid: tuple[int, ...],
        kernel: RadialKernel,
        spacing: tuple[float, ...],
        boundary: str,
        dtype: Any,
    ) -> GridAffinity:
        """Sample the kernel on the grid's offsets and transform the stencil once, in float64."""
        check_choice(boundary, "boundary", BOUNDARIES)
        precision = _precision(dtype)
        if not isinstance(kernel, RadialKernel):
            raise DtypeError("a grid operator needs a spatial kernel", got=repr(kernel))
        if not len(grid) == len(spacing) == kernel.dim:
            raise ShapeError(
                "shape, spacing and kernel must have one dimension",
                got=f"shape {grid}, spacing {spacing}, kernel of dimension {kernel.dim}",
            )
        limits = grid if boundary == "free" else (math.inf,) * len(grid)
        reach = tuple(_reach(kernel, h, n - 1) for n, h in zip(limits, spacing, strict=True))
        padded = grid
        if boundary == "free":
            padded = tuple(next_fast_length(n + r) for n, r in zip(grid, reach, strict=True))
        stencil = _stencil(kernel, reach, spacing, padded)
        symbol = np.real(np.fft.rfftn(stencil))  # the stencil is even
        origin = float(stencil[(0,) * len(grid)])
        return cls(
            grid,
            math.prod(spacing),
            symbol.astype(precision),
            padded,
            origin,
            None,
            None,
            True,
            bool(kernel.nonnegative),
            stencil=_few_offsets(stencil, reach, precision, periodic=boundary == "periodic"),
        )

    @property
    def shape(self) -> tuple[int, ...]:
        M = math.prod(self.grid)
        return (M, M)

    @property
    def dtype(self) -> Any:
        return self.symbol.dtype

    def normalized(self, found: Potentials) -> tuple[GridAffinity, Potentials]:
        K: Any = self.rescaled(found.left, found.right)
        return replace(K, rate=found.exit_rate if is_constant(found.exit_rate) else None), found

    def apply(self, Z: Array) -> Array:
        return self._convolved(Z, self.left, self.right)

    def apply_transposed(self, Z: Array) -> Array:
        return self._convolved(Z, self.right, self.left)

    def apply_less(self, Z: Array, rate: Array) -> Array:
        return self._convolved(Z, self.left, self.right, rate)

    def apply_transposed_less(self, Z: Array, rate: Array) -> Array:
        return self._convolved(Z, self.right, self.left, rate)

    def _convolved(
        self, Z: Array, left: np.ndarray | None, right: np.ndarray | None, rate: Array | None = None
    ) -> Array:
        """diag(left) T diag(right) Z - diag(rate) Z: NumPy in place and on all threads, others by their library."""
        xp = namespace(Z)
        *batch, M, channels = Z.shape
        fields = xp.moveaxis(Z, -1, -2)
        if isinstance(Z, np.ndarray):
            result = self._in_numpy(
                fields.reshape(math.prod(batch), channels, *three_axes(self.grid)), left, right, rate
            )
            return np.moveaxis(result.reshape(*batch, channels, M), -1, -2)
        if right is not None:
            fields = fields * match(right, Z)
        fields = xp.reshape(fields, (*batch, channels, *self.grid))
        axes = tuple(range(-len(self.grid), 0))
        spectrum = xp.fft.rfftn(fields, s=self.padded, axes=axes) * match(self.symbol, Z)
        fields = xp.fft.irfftn(spectrum, s=self.padded, axes=axes)
        fields = fields[(..., *(slice(0, n) for n in self.grid))]
        result = xp.moveaxis(xp.reshape(fields, (*batch, channels, M)), -1, -2)
        result = result if left is None else match(left, Z)[:, None] * result
        return result if rate is None else result - match(rate, Z)[:, None] * Z

    def _in_numpy(
        self, fields: np.ndarray, left: np.ndarray | None, right: np.ndarray | None, rate: np.ndarray | None
    ) -> np.ndarray:
        """By the stencil where that takes less time and numba is there, else by transforms in place."""
        three = three_axes(self.grid)
        plain = fields.dtype == self.dtype and fields.dtype.isnative
        stencil = self.direct(math.prod(fields.shape[:2])) if plain else None
        one_rate = rate is not None and rate is self.rate and left is None and right is None
        if stencil is None and one_rate:
            return Convolution(three, three_axes(self.padded), self._symbol_less_rate, spare=self._spare)(fields)
        scalings = [None if v is None else np.reshape(v, three) for v in (left, right, rate)]
        if stencil is not None:
            return stencil.apply(fields, *scalings)
        symbol = self._symbol_by_columns
        return Convolution(three, three_axes(self.padded), symbol, *scalings, spare=self._spare)(fields)

    def direct(self, fields: int) -> Stencil | None:
        """The stencil where that takes less time for so many fields and numba is there, else None: by transforms."""
        each = self.shape[0] * self.dtype.itemsize
        large = each >= FIELD_BYTES and fields * each >= FROM_BYTES
        return self.stencil if large and self.stencil is not None and self.stencil.loops is not None else None

    @cached_property
    def _symbol_by_columns(self) -> np.ndarray:
        return self._by_columns()

    @cached_property
    def _symbol_less_rate(self) -> np.ndarray:
        """Of K - rate I, where there is one rate and no boundary."""
        symbol = self._by_columns()
        symbol -= 0 if self.rate is None else self.rate[0]
        return symbol

    def _by_columns(self) -> np.ndarray:
        return self.symbol.reshape(*three_axes(self.padded)[:2], -1).T.copy()

    @cached_property
    def _spare(self) -> list[np.ndarray]:
        return []

    def diagonal(self) -> np.ndarray:
        entries = np.full(self.shape[0], self.centre, dtype=self.dtype)
        for scaling in (self.left, self.right):
            entries = entries if scaling is None else entries * scaling
        return entries

    def rescaled(self, left: Array, right: Array) -> GridAffinity:
        left, right = np.exp(left), np.exp(right)
        left = left if self.left is None else left * self.left
        right = right if self.right is None else right * self.right
        if is_constant(left) and is_constant(right):
            factor = left[0] * right[0]
            return replace(
                self,
                symbol=self.symbol * factor,
                centre=self.centre * float(factor),
                stencil=None if self.stencil is None else self.stencil.scaled(float(factor)),
                left=None,
                right=None,
                symmetric=None,
            )
        return replace(self, left=left, right=right, symmetric=None)

    def row_sums(self, weights: Array) -> Array:
        """sum_j omega_ij w_j; on a torus with one weight all are the symbol at 0."""
        if self.padded == self.grid and self.left is None and self.right is None and is_constant(weights):
            return np.full(self.shape[0], self.symbol.flat[0] * weights[0])
        return super().row_sums(weights)

    def log_weights(self, weights: float | Array | None) -> Array:
        """Cell volumes unless the caller gives other weights."""
        return log_weights_of(
            self.cell if weights is None else weights, np.broadcast_to(self.dtype.type(0), self.shape)
        )


def three_axes(lengths: tuple[int, ...]) -> tuple[int, int, int]:
    """The same grid with three axes; those that it lacks have length 1, the last stays the last."""
    first, middle, last = (*lengths[:-1], 1, 1)[:2] + lengths[-1:]
    return first, middle, last


def is_constant(v: np.ndarray) -> bool:
    """Whether all entries are the same number."""
    return bool(np.all(v == v[0]))


def next_fast_length(n: int) -> int:
    """The next length >= n whose real FFT is fast."""
    return int(scipy.fft.next_fast_len(n, real=True) or n)


def _precision(dtype: Any) -> np.dtype:
    try:
        precision = np.dtype(dtype)
    except TypeError:
        precision = None
    if precision is None or precision not in (np.float64, np.float32):
        raise DtypeError(
            "dtype must be float64 or float32",
            got=dtype,
            why="the stencil is transformed in NumPy; the operator acts on fields of every library",
            fix="pass numpy.float64 or numpy.float32",
        )
    return precision


def _reach(kernel: RadialKernel, h: float, limit: float) -> int:
    """Offsets to sample on either side, at most `limit`: to the horizon, or where phi is 0 to rounding."""
    far = kernel.horizon if math.isfinite(kernel.horizon) else kernel.extent[0]
    reach = min(far / h * (1 + 1e-6) + 1, limit)
    if not math.isfinite(reach):
        raise DomainError(
            "a periodic grid needs a kernel of finite extent", got=repr(kernel), fix="truncate the kernel"
        )
    return int(reach)


def _stencil(
    kernel: RadialKernel, reach: tuple[int, ...], spacing: tuple[float, ...], shape: tuple[int, ...]
) -> np.ndarray:
    """rho at all offsets within reach, added up modulo `shape`, slab by slab along the first axis."""
    offsets = [np.arange(-r, r + 1) for r in reach]
    stencil = np.zeros(shape)
    rows = max(1, OFFSETS_PER_SLAB // math.prod(len(j) for j in offsets[1:]))
    for start in range(0, len(offsets[0]), rows):
        slab = [offsets[0][start : start + rows], *offsets[1:]]
        squared = sum(part**2 for part in np.ix_(*[j * h for j, h in zip(slab, spacing, strict=True)]))
        where = np.ix_(*[j % n for j, n in zip(slab, shape, strict=True)])
        np.add.at(stencil, where, kernel.profile(np.sqrt(squared)))
    return stencil


def _few_offsets(stencil: np.ndarray, reach: tuple[int, ...], dtype: np.dtype, *, periodic: bool) -> Stencil | None:
    """The stencil as a list, where it has few offsets and does not meet itself round the torus."""
    if any(2 * r + 1 > n for r, n in zip(reach, stencil.shape, strict=True)):
        return None
    values = stencil[np.ix_(*[np.arange(-r, r + 1) for r in reach])]
    return Stencil.of(values.reshape(three_axes(values.shape)), dtype, periodic=periodic)


def checked_grid(shape: Any, spacing: Any) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Shape and spacing as tuples of equal length; one number counts for every axis."""
    grid = tuple(check_count(n, "shape", at_least=1) for n in (shape if isinstance(shape, (tuple, list)) else (shape,)))
    steps = tuple(spacing) if isinstance(spacing, (tuple, list)) else (spacing,) * len(grid)
    return grid, tuple(check_number(h, "spacing", above=0.0) for h in steps)
