"""log omega of features, tile by tile, by matrix products where that costs no digits."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

from nlmodel._arrays import Array, eps, namespace, scalar, transpose
from nlmodel.kernels import Gaussian, Kernel
from nlmodel.kernels._distances import gaussian_factor


Tiles: TypeAlias = Callable[[slice, slice], Array]

WIDE = 16  # features from which a matrix product finds the distances
GROWTH = 8.0  # what the expanded square may add to the error of a distance, in terms of that of the exponent


def exponents_of(kernel: Kernel, X: Array) -> Tiles:
    """(rows, columns) -> log omega_ij of an exponential kernel, by its own definition where there is no faster way.

    Parameters
    ----------
    X : (..., M, D) array.
    """
    return _by_products(kernel, X) or (lambda rows, columns: kernel.log_evaluate(X[..., rows, :], X[..., columns, :]))


def _by_products(kernel: Kernel, X: Array) -> Tiles | None:
    """a |y_i|^2 - 2 a y_i.y_j + a |y_j|^2 of the Gaussian 2^(a |x_i - x_j|^2 / ln 2), y = x - mean."""
    if type(kernel) is not Gaussian or X.shape[-1] < WIDE or (a := gaussian_factor(kernel.scale, eps(X))) is None:
        return None
    xp = namespace(X)
    Y = X - xp.mean(X, axis=-2, keepdims=True)
    squares = xp.sum(Y * Y, axis=-1)
    if not expanded_is_exact(a * math.log2(math.e), scalar(xp.max(squares))):
        return None
    own = a * squares

    def tile(rows: slice, columns: slice) -> Array:
        products = xp.matmul(-2 * a * Y[..., rows, :], transpose(Y[..., columns, :]))
        return products + own[..., rows, None] + own[..., None, columns]

    return tile


def expanded_is_exact(a: float, largest: float) -> bool:
    """Whether 2^(a |y_i - y_j|^2) keeps its digits where the square is expanded, |y|^2 <= `largest`."""
    return -a * largest <= GROWTH
