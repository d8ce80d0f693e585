"""omega of a radial kernel on a uniform grid: convolution by FFT, periodic or with a free boundary."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft

from nlmodel._arrays import Array, check_choice, check_count, check_number, namespace
from nlmodel.errors import DtypeError, ShapeError
from nlmodel.kernels import RadialKernel
from nlmodel.normalization import log_weights_of
from nlmodel.operators.affinity import Affinity
from nlmodel.operators.linear_map import match


BOUNDARIES = ("periodic", "free")


@dataclass(frozen=True, eq=False, repr=False)
class GridAffinity(Affinity):
    """diag(left) T diag(right) with T_ij = rho(|x_i - x_j|) on a grid, M = prod(grid) positions in C order.

    "periodic": distances on the torus, all images within the horizon are added.  "free": only pairs inside the
    domain, by zero padding with the horizon; with the quadrature weights this is the integral over the domain
    alone, the nonlocal Neumann problem.  Cost of a product: O(M log M) a channel.
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
        precision = np.dtype(dtype)
        if precision not in (np.float64, np.float32):
            raise DtypeError("dtype must be float64 or float32", got=precision)
        if not isinstance(kernel, RadialKernel):
            raise DtypeError("a grid operator needs a spatial kernel", got=repr(kernel))
        if not len(grid) == len(spacing) == kernel.dim:
            raise ShapeError(
                "shape, spacing and kernel must have one dimension",
                got=f"shape {grid}, spacing {spacing}, kernel of dimension {kernel.dim}",
            )
        reach = tuple(_reach(kernel, h, n, boundary) for n, h in zip(grid, spacing, strict=True))
        padded = grid
        if boundary == "free":
            reach = tuple(min(r, n - 1) for r, n in zip(reach, grid, strict=True))
            padded = tuple(next_fast_length(n + r) for n, r in zip(grid, reach, strict=True))
        offsets = [np.arange(-r, r + 1) for r in reach]
        squared = sum(
            np.reshape((j * h) ** 2, [-1 if axis == k else 1 for k in range(len(grid))])
            for axis, (j, h) in enumerate(zip(offsets, spacing, strict=True))
        )
        stencil = np.zeros(padded)
        where = np.ix_(*[j % n for j, n in zip(offsets, padded, strict=True)])
        np.add.at(stencil, where, kernel.profile(np.sqrt(squared)))
        symbol = np.real(np.fft.rfftn(stencil))  # the stencil is even
        origin = float(stencil[(0,) * len(grid)])
        cell = math.prod(spacing)
        return cls(grid, cell, symbol.astype(precision), padded, origin, None, None, True, bool(kernel.nonnegative))

    @property
    def shape(self) -> tuple[int, ...]:
        M = math.prod(self.grid)
        return (M, M)

    @property
    def dtype(self) -> Any:
        return self.symbol.dtype

    def apply(self, Z: Array) -> Array:
        return self._convolve(Z, self.left, self.right)

    def apply_transposed(self, Z: Array) -> Array:
        return self._convolve(Z, self.right, self.left)

    def _convolve(self, Z: Array, left: np.ndarray | None, right: np.ndarray | None) -> Array:
        xp = namespace(Z)
        if right is not None:
            Z = match(right, Z)[:, None] * Z
        *batch, M, channels = Z.shape
        fields = xp.reshape(xp.moveaxis(Z, -1, -2), (*batch, channels, *self.grid))
        axes = tuple(range(-len(self.grid), 0))
        spectrum = xp.fft.rfftn(fields, s=self.padded, axes=axes) * match(self.symbol, Z)
        fields = xp.fft.irfftn(spectrum, s=self.padded, axes=axes)
        fields = fields[(..., *(slice(0, n) for n in self.grid))]
        result = xp.moveaxis(xp.reshape(fields, (*batch, channels, M)), -1, -2)
        return result if left is None else match(left, Z)[:, None] * result

    def diagonal(self) -> np.ndarray:
        entries = np.full(self.shape[0], self.centre, dtype=self.dtype)
        for scaling in (self.left, self.right):
            entries = entries if scaling is None else entries * scaling
        return entries

    def rescaled(self, left: Array, right: Array) -> GridAffinity:
        left, right = np.exp(left), np.exp(right)
        left = left if self.left is None else left * self.left
        right = right if self.right is None else right * self.right
        return GridAffinity(
            self.grid, self.cell, self.symbol, self.padded, self.centre, left, right, None, self.nonnegative
        )

    def log_weights(self, weights: float | Array | None) -> Array:
        """Cell volumes unless the caller gives other weights."""
        return log_weights_of(
            self.cell if weights is None else weights, np.broadcast_to(self.dtype.type(0), self.shape)
        )


def next_fast_length(n: int) -> int:
    """The next length >= n whose real FFT is fast."""
    return int(scipy.fft.next_fast_len(n, real=True) or n)


def _reach(kernel: RadialKernel, h: float, n: int, boundary: str) -> int:
    """Offsets to sample on either side: the horizon, or where an untruncated kernel has become negligible."""
    if math.isfinite(kernel.horizon):
        return int(kernel.horizon / h * (1 + 1e-6)) + 1
    if boundary == "free":
        return n - 1
    far, tail = h, 1.0
    while tail > 1e-18 and far < 1e6 * h * n:
        far *= 2
        tail = float(kernel.profile(np.asarray([far]))[0]) * far**kernel.dim
    return int(far / h)


def checked_grid(shape: Any, spacing: Any) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Shape and spacing as tuples of equal length; one number counts for every axis."""
    grid = tuple(check_count(n, "shape", at_least=1) for n in (shape if isinstance(shape, (tuple, list)) else (shape,)))
    steps = tuple(spacing) if isinstance(spacing, (tuple, list)) else (spacing,) * len(grid)
    return grid, tuple(check_number(h, "spacing", above=0.0) for h in steps)
