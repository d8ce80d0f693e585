"""Products with a symmetric omega of NumPy points that look at each pair once, compiled where numba is there."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from nlmodel._jit import compiled
from nlmodel.kernels import ExpDot, Exponential, Gaussian, Kernel, RadialKernel, TopHat, TruncatedGaussian
from nlmodel.operators.exponents import GROWTH, WIDE, expanded_is_exact
from nlmodel.operators.threads import cores, every, in_order
from nlmodel.operators.tiles import Tiles, tiles_of


Add = Callable[[int, int, int, int, np.ndarray, np.ndarray], None]
Fill = Callable[[int, int, np.ndarray], None]
Product = Callable[[np.ndarray], np.ndarray]

PAIRS_FROM = 512  # positions; below, a tile or two have the product before compiled loops are loaded
FEW = 8  # columns that the compiled loops take on themselves; more go through matrix products
LONG = 64  # features from which even one column does
STRIP, PANEL = 512, 2048  # rows and columns of the tile in those: 4 or 8 MiB
TILE = 384  # rows and columns of those of NumPy: larger ones leave the caches, smaller ones are many calls
LARGEST = 8 * STRIP  # positions in a part
RANGE = 30.0  # of the logarithms of the scalings, beyond which they must be added to the exponents

GAUSSIAN, EXPONENTIAL, BALL = range(3)
KINDS = {Gaussian: GAUSSIAN, TruncatedGaussian: GAUSSIAN, ExpDot: GAUSSIAN, Exponential: EXPONENTIAL, TopHat: BALL}

LEAST = {np.dtype(np.float32): -126.0, np.dtype(np.float64): -1022.0}
"""The exponent of the smallest normal number: what is below counts as 0."""


@dataclass(frozen=True)
class Profile:
    """omega_ij = exp(shift_i + shift_j) c 2^(a |x_i - x_j|^2), or 2^(a |x_i - x_j|), or 1; 0 where |x_i - x_j|^2 > cut.

    Attributes
    ----------
    kind : GAUSSIAN, EXPONENTIAL or BALL, as in `compiled_loops`.
    constant : c.
    shift : (M,) array, or 0.
    """

    kind: int
    a: np.floating
    cut: np.floating
    constant: float = 1.0
    shift: np.ndarray | float = 0.0


def profile_of(kernel: Any, X: np.ndarray) -> Profile | None:
    """The profile of a kernel at the points X, or None where the compiled loops do not know it.

    exp(x.y/t) = exp(|x|^2/2t) exp(-|x - y|^2/2t) exp(|y|^2/2t), for vectors so short that this costs no digits.
    """
    family = type(kernel)  # a class derived from one of these may be another function
    if family not in KINDS:
        return None
    kind, limits = KINDS[family], np.finfo(X.dtype)
    shift: np.ndarray | float = 0.0
    if family is ExpDot:
        shift = np.sum(X * X, axis=-1) / (2 * kernel.temperature)
        if np.max(shift) > GROWTH:
            return None
    rate = _rate(kernel)
    if kind != BALL and not limits.tiny < -rate < limits.max:
        return None
    local = isinstance(kernel, RadialKernel)
    normal = LEAST[X.dtype] / rate if kind != BALL else math.inf
    normal *= normal if kind == EXPONENTIAL else 1.0
    cut = min(normal * (1 - 4 * float(limits.eps)), kernel.reach(X) ** 2 if local else math.inf, float(limits.max))
    constant = kernel.constant if local else 1.0
    return Profile(kind, X.dtype.type(rate), X.dtype.type(cut), constant, shift)


def _rate(kernel: Any) -> float:
    """The exponent of 2 for |x - y| = 1."""
    if isinstance(kernel, ExpDot):
        return -0.5 * math.log2(math.e) / kernel.temperature
    if isinstance(kernel, Exponential):
        return -math.log2(math.e) / kernel.scale
    return 0.0 if isinstance(kernel, TopHat) else -0.5 * math.log2(math.e) / kernel.scale / kernel.scale


def product_of(kernel: Kernel, X: np.ndarray, left: np.ndarray, right: np.ndarray) -> Product | None:
    """Z -> exp(left_i) sum_j omega_ij exp(right_j) Z_j, or None where tiles must do.

    Parameters
    ----------
    X : (M, D) array.
    left, right : logarithms of the scalings, (M,), or (M, C) where every column of Z has its own.
    Z : (M, C) array in the precision of X; the product comes in double precision.

    Accuracy error over the sum of absolute terms <= 4 eps, and that of the weights; sums of at most 128 terms are in
             the precision of the points, all others in double precision.  The same bytes on any number of threads.
    Cost     M^2 / 2 weights and M^2 C products; beside the result some parts of 4096 positions, or a tile of 8 MiB.
    """
    if len(X) < PAIRS_FROM:
        return None
    sums = _sums_of(kernel, X)
    if sums is None:
        return None
    totals, shift = sums
    left, right = (np.reshape(scaling, (len(X), -1)).astype(np.float64) + shift for scaling in (left, right))
    top = np.max(right, axis=0)
    if max(np.max(top - np.min(right, axis=0)), np.max(np.abs(left + top))) > RANGE:
        return None
    left, right = np.exp(left + top), np.exp(right - top)
    return lambda Z: left * totals((right * Z).astype(X.dtype))


def _sums_of(kernel: Kernel, X: np.ndarray) -> tuple[Product, np.ndarray] | None:
    """V -> sum_j omega_ij V_j of a kernel that is exp(shift_i + shift_j) omega_ij, and the (M, 1) shift."""
    loops = compiled("operators.compiled_loops")
    profile = None if loops is None else profile_of(kernel, X)
    if loops is not None and profile is not None:
        shift = np.reshape(profile.shift, (-1, 1))
        return lambda V: profile.constant * _of_profile(loops, profile, X, V), shift
    if kernel.symmetric and (type(kernel) is Gaussian or not kernel.exponential):
        return lambda V: _every_pair(_of_tiles(tiles_of(kernel, X), V), V.shape), np.zeros((1, 1))
    return None


def _of_profile(loops: ModuleType, profile: Profile, X: np.ndarray, V: np.ndarray) -> np.ndarray:
    """sum_j omega_ij V_j, (M, C) float64."""
    x = np.zeros((max(3, X.shape[1]), len(X)), X.dtype)
    x[: X.shape[1]] = X.T
    kind, a, cut = profile.kind, profile.a, profile.cut
    if V.shape[1] > FEW or X.shape[1] >= LONG:
        return _by_panels(_filling(loops, profile, X, x), V)
    v = np.ascontiguousarray(V.T)

    def add(i0: int, i1: int, j0: int, j1: int, rows: np.ndarray, columns: np.ndarray) -> None:
        loops.add_pairs(kind, x, v, a, cut, i0, i1, j0, j1, rows.T, columns.T)

    return _every_pair(add, V.shape)


def _of_tiles(evaluate: Tiles, V: np.ndarray) -> Add:
    """The same from tiles in NumPy."""

    def add(i0: int, i1: int, j0: int, j1: int, rows: np.ndarray, columns: np.ndarray) -> None:
        for i in range(i0, i1, TILE):
            here = slice(i, min(i + TILE, i1))
            for j in range(i if i0 == j0 else j0, j1, TILE):
                there = slice(j, min(j + TILE, j1))
                tile = evaluate(here, there)
                rows[i - i0 : here.stop - i0] += tile @ V[there]
                if i != j:
                    columns[j - j0 : there.stop - j0] += tile.T @ V[here]

    return add


def _every_pair(add: Add, shape: tuple[int, ...]) -> np.ndarray:
    """Sums over all pairs of parts; added up in one order, whichever thread is done first."""
    M, C = shape
    size = STRIP * min(max(M // (8 * STRIP), 1), LARGEST // STRIP)
    parts = [(start, min(start + size, M)) for start in range(0, M, size)]

    def sums(pair: tuple[tuple[int, int], tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
        (i0, i1), (j0, j1) = pair
        rows, columns = np.zeros((C, i1 - i0)).T, np.zeros((C, j1 - j0)).T
        add(i0, i1, j0, j1, rows, columns)
        return rows, columns

    pairs = list(itertools.combinations_with_replacement(parts, 2))
    totals = np.zeros(shape)
    for ((i0, i1), (j0, j1)), (rows, columns) in zip(pairs, in_order(sums, pairs), strict=True):
        totals[i0:i1] += rows
        totals[j0:j1] += columns
    return totals


def _filling(loops: ModuleType, profile: Profile, X: np.ndarray, x: np.ndarray) -> Fill:
    """What writes omega into a tile, given its first row and column; by matrix products where those cost no digits."""
    kind, a, cut = profile.kind, profile.a, profile.cut
    if kind == GAUSSIAN and X.shape[1] >= WIDE:
        Y = X - np.mean(X, axis=0)
        squares = np.sum(Y * Y, axis=1)
        if expanded_is_exact(float(a), float(np.max(squares))) and float(cut) >= 4 * float(np.max(squares)):
            return _by_products(loops, a, Y, squares)

    def fill(i0: int, j0: int, tile: np.ndarray) -> None:
        step = -(-len(tile) // (4 * cores()))
        every(lambda i: loops.fill(kind, x, a, cut, i0 + i, j0, tile[i : i + step]), range(0, len(tile), step))

    return fill


def _by_products(loops: ModuleType, a: np.floating, Y: np.ndarray, squares: np.ndarray) -> Fill:
    """2^(a |y_i|^2 - 2 a y_i.y_j + a |y_j|^2)."""
    own = a * squares

    def fill(i0: int, j0: int, tile: np.ndarray) -> None:
        rows, columns = slice(i0, i0 + len(tile)), slice(j0, j0 + tile.shape[1])
        np.matmul(Y[rows], Y[columns].T, out=tile)
        step = -(-len(tile) // (4 * cores()))
        every(
            lambda i: loops.exponentials(-2 * a, own[rows][i : i + step], own[columns], tile[i : i + step]),
            range(0, len(tile), step),
        )

    return fill


def _by_panels(fill: Fill, V: np.ndarray) -> np.ndarray:
    """sum_j omega_ij V_j by matrix products, of a panel and of its mirror image."""
    M = len(V)
    totals, panel = np.zeros(V.shape), np.empty(STRIP * PANEL, V.dtype)
    for i0 in range(0, M, STRIP):
        here = slice(i0, min(i0 + STRIP, M))
        n = here.stop - i0
        for j0 in range(i0, M, PANEL):
            there = slice(j0, min(j0 + PANEL, M))
            tile = panel[: n * (there.stop - j0)].reshape(n, -1)
            fill(i0, j0, tile)
            totals[here] += tile @ V[there]
            below = n if j0 == i0 else 0
            totals[j0 + below : there.stop] += tile[:, below:].T @ V[here]
    return totals
