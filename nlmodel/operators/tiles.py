"""Tiles of omega in NumPy alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from nlmodel.kernels import Gaussian, Kernel
from nlmodel.kernels._distances import gaussian_factor, squared_distances


Tiles: TypeAlias = Callable[[slice, slice], np.ndarray]

SERIAL_PRODUCT = 2**18  # multiplications up to which OpenBLAS stays on the thread that calls it


def tiles_of(kernel: Kernel, X: np.ndarray) -> Tiles:
    """(rows, columns) -> omega, by the kernel's own definition where there is no faster way."""
    fast = (single_precision_tiles(kernel, X) or tiles_in_place(kernel, X)) if type(kernel) is Gaussian else None
    return fast or (lambda rows, columns: kernel.evaluate(X[rows], X[columns]))


def tiles_in_place(kernel: Gaussian, X: np.ndarray) -> Tiles | None:
    """The definition to the last bit, with nothing allocated but the tile; None where its factor has no digits left."""
    factor = gaussian_factor(kernel.scale, float(np.finfo(X.dtype).eps))
    if factor is None:
        return None

    def tile(rows: slice, columns: slice) -> np.ndarray:
        exponents = squared_distances(X[rows], X[columns])
        exponents *= factor
        return np.exp(exponents, out=exponents)

    return tile


def single_precision_tiles(kernel: Gaussian, X: np.ndarray) -> Tiles | None:
    """The same of points in single precision, the exponents by matrix products in double precision.

        -|x - y|^2 / 2 scale^2 = (2 u, -|u|^2, 1) . (v, 1, -|v|^2),   u = (x - mean) / (scale sqrt 2), v alike

    None for other points, for those so far apart that the expanded square would cost digits of the result, and where
    the factor of the square has no digits left.

    Accuracy absolute error of an exponent <= eps of single precision / 8, beside that of its rounding.
    """
    double, single = (float(np.finfo(kind).eps) for kind in (np.float64, np.float32))
    if X.dtype != np.float32 or gaussian_factor(kernel.scale, double) is None:
        return None
    u = (X - np.mean(X, axis=0, dtype=np.float64)) / kernel.scale * np.sqrt(0.5)
    squares = np.sum(u * u, axis=1)
    if not 4 * (X.shape[1] + 8) * double * float(np.max(squares)) <= single / 8:
        return None
    ones = np.ones_like(squares)
    left, right = np.column_stack([2 * u, -squares, ones]), np.column_stack([u, ones, -squares]).T

    def tile(rows: slice, columns: slice) -> np.ndarray:
        x, y = left[rows], right[:, columns]
        exponents, weights = np.empty((len(x), y.shape[1])), np.empty((len(x), y.shape[1]), np.float32)
        step = max(16, SERIAL_PRODUCT // y.size)
        for i in range(0, len(x), step):
            np.matmul(x[i : i + step], y, out=exponents[i : i + step])
        return np.exp(exponents, out=weights, dtype=np.float32, casting="same_kind")

    return tile
