"""omega of a Gaussian on scattered points in 1 to 3 dimensions, by nonuniform Fourier transforms, to a tolerance."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np

from nlmodel._arrays import Array, check_array, eps
from nlmodel.errors import DomainError, DtypeError, ShapeError
from nlmodel.kernels import Gaussian, Kernel, TruncatedGaussian
from nlmodel.normalization import log_weights_of
from nlmodel.operators.affinity import Affinity
from nlmodel.operators.approximation import check_above_error, check_reached, check_tolerance
from nlmodel.operators.nufft_plan import Transform, finufft, grid_bytes
from nlmodel.operators.nufft_series import GaussianSeries
from nlmodel.operators.numpy_fields import through_numpy


LARGEST = 2**32  # bytes that the modes and finufft's finer grid may take
MOST_SCALES = 1e9
COARSEST, FINEST = 1e-2, 1e-15  # accuracies between which finufft is asked
EXCESS = 4  # by which its error may exceed what was asked; measured with these coefficients: at most 2.9


@dataclass(frozen=True, eq=False, repr=False)
class NufftAffinity(Affinity):
    """diag(left) F* diag(a) F diag(right): a Gaussian on scattered points as a Fourier series on a box around them.

        omega~_ij = omega(0) prod_d sum_{|k| <= n_d} a_dk exp(2 pi i k (x_id - x_jd) / P_d)

    F and F* are nonuniform fast Fourier transforms that are exact adjoints of each other and a > 0, so that omega~
    is symmetric and positive semidefinite to rounding, whatever the tolerance.

    Attributes
    ----------
    transform : F, with the number of modes and the accuracy that was asked of finufft.
    multiplier : omega(0) a_k, of shape `transform.modes`.
    left, right : (M,) scalings, None for 1.
    error_bound : |((omega~ - omega) Z)_i| <= error_bound sum_j |Z_j|, of the affinity that is not scaled.  The sum of

        series     prod_d (1 + images_d + tail_d) - 1, see `GaussianSeries`
        transforms ((1 + 4 e)^(2 D) - 1) prod_d (1 + images_d): the 2 D one-dimensional interpolations of finufft, each
                   to four times the accuracy e that was asked of it
        rounding   eps sum_d (8 + 2 P_d / s): of sums, and of coordinates (measured: at most a half of it)
        horizon    exp(-horizon^2 / (2 s^2)) where pairs beyond a horizon are not left out

        times omega(0).  At most tol omega(0).
    nonnegative : True where the smallest omega_ij is proved to exceed the error bound.

    Cost of a product: O(M log(1/tol)^D + N log N) for N = prod_d (2 n_d + 1) modes, n_d about
    span_d / s log(1/tol)^(1/2); two channels at the price of one.
    """

    transform: Transform
    multiplier: np.ndarray
    left: np.ndarray | None
    right: np.ndarray | None
    error_bound: float
    symmetric: bool | None
    nonnegative: bool
    storage = "nufft"

    @classmethod
    def build(cls, X: np.ndarray, kernel: Kernel, tol: float = 1e-6) -> NufftAffinity:
        """Choose box, modes and accuracy so that |((omega~ - omega) Z)_i| <= tol omega(0) sum_j |Z_j|.

        Parameters
        ----------
        X : (M, D) NumPy array, float64 or float32, D = 1, 2, 3.
        kernel : `Gaussian`, or `TruncatedGaussian` with a horizon so large that what it cuts off is below tol.
        tol : in (0, 1).

        Raises   DomainError: another kernel, a tol that the precision does not allow, more modes than 4 GiB hold.
                 DtypeError / ShapeError: points not in NumPy, or not in 1 to 3 dimensions.
                 MissingPackageError: finufft is not installed.
        """
        check_tolerance(tol)
        _check_points(X)
        finufft()
        peak, scale, horizon = _gaussian(X, kernel)
        dim, (middle, spans) = X.shape[1], _box(X, scale)
        axes = [GaussianSeries.within(tol / (10 * dim), float(span), scale) for span in spans]
        modes = tuple(2 * axis.highest + 1 for axis in axes)
        _check_memory(modes, X.dtype)
        accuracy = max(min(tol / (4 * dim) / EXCESS, COARSEST), 4 * eps(X), FINEST)
        farthest = math.hypot(*spans)
        cut = math.exp(-0.5 * (horizon / scale) ** 2) if horizon < farthest else 0.0
        bound = cut + _series_error(axes) + _transform_error(axes, accuracy) + _rounding(axes, eps(X))
        check_reached(bound, tol, X.dtype, "coordinates and sums are rounded, and what a horizon cuts off is kept")
        angles = np.stack([2 * np.pi / a.period * (x - m) for a, x, m in zip(axes, X.T, middle, strict=True)])
        multiplier = peak * reduce(np.multiply.outer, [axis.coefficients for axis in axes])
        smallest = peak * math.exp(-0.5 * (farthest / scale) ** 2) if horizon >= farthest else 0.0
        return cls(
            Transform(np.ascontiguousarray(angles, dtype=X.dtype), modes, accuracy),
            multiplier.astype(X.dtype),
            None,
            None,
            peak * bound,
            True,
            smallest > peak * bound,
        )

    @property
    def shape(self) -> tuple[int, ...]:
        M = self.transform.angles.shape[1]
        return (M, M)

    @property
    def dtype(self) -> Any:
        return self.transform.angles.dtype

    def __repr__(self) -> str:
        modes, bound = self.transform.modes, self.error_bound
        return f"NufftAffinity(shape={self.shape}, modes={modes}, error_bound={bound:.2g}, dtype={self.dtype})"

    def apply(self, Z: Array) -> Array:
        return through_numpy(self._product, self._transposed_product, Z)

    def apply_transposed(self, Z: Array) -> Array:
        return through_numpy(self._transposed_product, self._product, Z)

    def diagonal(self) -> np.ndarray:
        entries = np.full(self.shape[0], np.sum(self.multiplier), dtype=self.dtype)
        for scaling in (self.left, self.right):
            entries = entries if scaling is None else entries * scaling
        return entries

    def rescaled(self, left: Array, right: Array) -> NufftAffinity:
        left, right = np.exp(left), np.exp(right)
        return replace(
            self,
            left=left if self.left is None else left * self.left,
            right=right if self.right is None else right * self.right,
            symmetric=None,
        )

    def log_weights(self, weights: float | Array | None) -> Array:
        return log_weights_of(weights, np.broadcast_to(self.dtype.type(0), self.shape))

    def log_row_sums(self, log_weights: Array) -> Array:
        """As of every affinity; `NormalizationError` too where a sum does not exceed the bound of its own error."""
        shift = np.max(log_weights)
        weights = np.exp(log_weights - shift)
        sums = self.row_sums(weights)
        received = weights if self.right is None else self.right * weights
        error = self.error_bound * np.sum(received) * (np.ones_like(sums) if self.left is None else self.left)
        check_above_error(sums, error, received)
        return np.log(sums) + shift

    def _product(self, Z: np.ndarray) -> np.ndarray:
        return self._scaled_product(Z, self.left, self.right)

    def _transposed_product(self, Z: np.ndarray) -> np.ndarray:
        return self._scaled_product(Z, self.right, self.left)

    def _scaled_product(self, Z: np.ndarray, left: np.ndarray | None, right: np.ndarray | None) -> np.ndarray:
        *batch, M, channels = Z.shape
        fields = np.reshape(np.moveaxis(Z, -2, -1), (-1, M))
        result = np.empty_like(fields)
        step = 2 * self.transform.together
        whole = len(fields) - len(fields) % step
        for part in [slice(n, n + step) for n in range(0, whole, step)] + [
            slice(n, n + 2) for n in range(whole, len(fields), 2)
        ]:
            self._in_pairs(fields[part], result[part], left, right)
        return np.moveaxis(result.reshape(*batch, channels, M), -1, -2)

    def _in_pairs(
        self, fields: np.ndarray, result: np.ndarray, left: np.ndarray | None, right: np.ndarray | None
    ) -> None:
        """Two fields as the real and the imaginary part of one, either of size 1 so that none drowns in the other."""
        one = len(fields) == 1
        sizes = np.ones((1, 1), fields.dtype) if one else np.max(np.abs(fields), axis=1, keepdims=True)
        scaled = fields if one else fields / np.where(sizes > 0, sizes, 1)
        scaled = scaled if right is None else scaled * right
        charges = scaled[0::2].astype(self.transform.precision, order="C")
        if not one:
            charges.imag = scaled[1::2]
        found: Any = self.transform.filtered(charges, self.multiplier)
        for first, part in enumerate((found.real,) if one else (found.real, found.imag)):
            out, size = result[first::2], sizes[first::2]
            np.multiply(part, size if left is None else left, out=out)
            if left is not None and not one:
                out *= size


def _check_points(X: Any) -> None:
    if not isinstance(X, np.ndarray):
        raise DtypeError(
            "nufft storage takes NumPy points",
            got=type(X).__name__,
            why="finufft sorts them on the host",
            fix="pass NumPy points (the operator then acts on torch fields too)",
        )
    check_array(X, "X", ndim=2)
    if X.shape[1] > 3:
        raise ShapeError(
            "nufft storage takes points in 1, 2 or 3 dimensions",
            got=f"shape {X.shape}",
            why="the number of modes grows with the power of the dimension",
            fix='use storage="lowrank" or storage="streamed"',
        )


def _gaussian(X: np.ndarray, kernel: Kernel) -> tuple[float, float, float]:
    """omega(0), s and the horizon of a kernel omega(0) exp(-r^2 / (2 s^2))."""
    if isinstance(kernel, Gaussian):
        return 1.0, float(kernel.scale), math.inf
    if not isinstance(kernel, TruncatedGaussian):
        raise DomainError(
            "nufft storage needs a kernel whose Fourier transform is known and decays fast",
            got=repr(kernel),
            why="of another one too many modes would be needed",
            fix='use Gaussian or TruncatedGaussian, or storage="lowrank", "sparse" or "streamed"',
        )
    if X.shape[1] != kernel.dim:
        raise ShapeError(
            f"X must hold vectors of length {kernel.dim} in its last dimension",
            got=f"shape {X.shape}",
            why=f"{kernel!r} is defined on vectors of that length",
        )
    return kernel.constant, float(kernel.scale), kernel.horizon


def _box(X: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Middle and lengths of the box around the points."""
    low, high = X.min(axis=0).astype(np.float64), X.max(axis=0).astype(np.float64)
    with np.errstate(over="ignore"):  # an infinite length is refused
        spans = high - low
    if not math.hypot(*spans) / scale < MOST_SCALES:
        raise DomainError(
            f"the points must not extend over more than {MOST_SCALES:g} scales of the kernel",
            got=f"{math.hypot(*spans):.3g} for a scale of {scale:.3g}",
            why="as many Fourier modes would be needed along each axis",
            fix='use another scale, or storage="sparse" with a TruncatedGaussian',
        )
    return low / 2 + high / 2, spans


def _check_memory(modes: tuple[int, ...], dtype: np.dtype) -> None:
    needed = grid_bytes(modes, dtype)
    if needed > LARGEST:
        raise DomainError(
            f"the Fourier modes must fit into {LARGEST / 2**30:.3g} GiB",
            got=f"{' x '.join(map(str, modes))} modes, {needed / 2**30:.3g} GiB",
            why="the points extend over many scales of the kernel",
            fix='raise tol or the scale, or use storage="sparse" with a TruncatedGaussian',
        )


def _series_error(axes: list[GaussianSeries]) -> float:
    return math.prod(1 + axis.images + axis.tail for axis in axes) - 1


def _transform_error(axes: list[GaussianSeries], accuracy: float) -> float:
    return math.expm1(2 * len(axes) * math.log1p(EXCESS * accuracy)) * math.prod(1 + axis.images for axis in axes)


def _rounding(axes: list[GaussianSeries], unit: float) -> float:
    return unit * sum(8 + 2 * axis.period / axis.scale for axis in axes)
