"""omega as U U^T with few columns: landmarks to a tolerance, or random features with an estimate of the error."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nlmodel._arrays import Array, check_array, device, like, namespace, scalar, to_numpy, transpose
from nlmodel.errors import DomainError, ShapeError
from nlmodel.kernels import Kernel
from nlmodel.normalization import exponential, is_nonnegative, log_weights_of
from nlmodel.normalization.row_sums import check_positive
from nlmodel.operators.affinity import Affinity
from nlmodel.operators.algebra import identity_like
from nlmodel.operators.approximation import check_above_error, check_tolerance
from nlmodel.operators.linear_map import match
from nlmodel.operators.lowrank_cholesky import pivoted_cholesky
from nlmodel.operators.lowrank_features import Features, random_features


DIAGONAL_TILE = 16  # a kernel gives matrices, of which the diagonal is wanted


@dataclass(frozen=True, eq=False, repr=False)
class LowRankAffinity(Affinity):
    """diag(exp(left)) U U^T diag(exp(right)), positive semidefinite by construction while left = right.

    Attributes
    ----------
    factor : (..., M, r) U.
    left, right : (..., M) logarithms of the scalings.
    error_bound : |omega~_ij - omega_ij| <= error_bound sqrt(omega_ii omega_jj), of the affinity that is not scaled.
    confidence : with which it holds for any one pair; 1 for landmarks, where it is proved for all.
    remainder : (M,) r_i of landmarks, |omega~_ij - omega_ij| <= sqrt(r_i r_j omega_ii omega_jj); None of features.
    nonnegative : True where U has no negative entry.

    Cost of a product: O(M r C).
    """

    factor: Array
    left: Array
    right: Array
    error_bound: float
    confidence: float
    remainder: Array | None
    symmetric: bool | None
    nonnegative: bool
    storage = "lowrank"

    @classmethod
    def build(cls, X: Array, kernel: Kernel, tol: float = 1e-6) -> LowRankAffinity:
        """Nystrom's approximation by landmarks, |omega~_ij - omega_ij| <= tol sqrt(omega_ii omega_jj) for all pairs.

            U U^T = C_P C_PP^{-1} C_P^T,    C_ij = omega_ij / sqrt(omega_ii omega_jj)

        The landmarks P are the pivots of a Cholesky factorisation, found in NumPy.  Gradients with respect to the
        points are those of this formula with P held fixed.

        Parameters
        ----------
        X : (M, D) array of any library.
        kernel : one that declares itself positive definite, as `FunctionKernel` can too.
        tol : in (0, 1).

        Raises   DomainError: the kernel is not semidefinite, the precision does not allow `tol`, or 2 GiB of landmarks
                 do not suffice.
                 ShapeError: a batch of point sets, each of which would need landmarks of its own.
        Cost     O(M r (D + r)) time, O(M r) memory.
        """
        check_tolerance(tol)
        _check_input(X, kernel)
        half, diagonal = _half_log_diagonal(X, kernel)

        def columns(pivots: np.ndarray) -> Array:
            return _correlation(X, kernel, half, pivots)

        found = pivoted_cholesky(
            lambda pivot: to_numpy(columns(np.array([pivot])))[:, 0],
            to_numpy(diagonal),
            tol,
            noise=1 + 4 * float(np.max(np.abs(to_numpy(half)))),
        )
        records = getattr(columns(np.array([0])), "requires_grad", False)
        factor = _nystrom(columns(found.pivots), found.pivots) if records else like(found.factor, X)
        bound, remainder = found.error_bound, like(found.remainder, X)
        return cls(factor, half, half, bound, 1.0, remainder, True, is_nonnegative(factor))

    @classmethod
    def random_features(
        cls,
        X: Array,
        kernel: Kernel,
        count: int,
        *,
        rng: np.random.Generator,
        kind: str = "trigonometric",
        confidence: float = 0.99,
    ) -> LowRankAffinity:
        """A Gaussian or ExpDot from `count` random frequencies, unbiased; see `Features` for the two kinds.

        Parameters
        ----------
        X : (..., M, D) array of any library; torch gradients flow through it.
        kernel : `Gaussian` or `ExpDot`.
        rng : the draws; all operators of a batch share them.
        kind : "trigonometric", or "positive": never negative, and better where the affinity is small.
        confidence : with which `error_bound` holds for any one pair.
        """
        features: Features = random_features(X, kernel, count, rng=rng, kind=kind, confidence=confidence)
        half, bound = features.half_log_diagonal, features.error_bound
        return cls(features.factor, half, half, bound, confidence, None, True, kind == "positive")

    @property
    def shape(self) -> tuple[int, ...]:
        *batch, M, _ = self.factor.shape
        return (*batch, M, M)

    @property
    def dtype(self) -> Any:
        return self.factor.dtype

    @property
    def rank(self) -> int:
        """Number of columns of U."""
        return self.factor.shape[-1]

    def __repr__(self) -> str:
        sure = "" if self.confidence == 1 else f", confidence={self.confidence:g}"
        bound = f"error_bound={self.error_bound:.2g}{sure}"
        return f"LowRankAffinity(shape={self.shape}, rank={self.rank}, {bound}, dtype={self.dtype})"

    def apply(self, Z: Array) -> Array:
        return self._product(Z, self.left, self.right)

    def apply_transposed(self, Z: Array) -> Array:
        return self._product(Z, self.right, self.left)

    def to_dense(self) -> Array:
        scaling = exponential(self.left[..., :, None] + self.right[..., None, :])
        return scaling * namespace(self.factor).matmul(self.factor, transpose(self.factor))

    def diagonal(self) -> Array:
        return exponential(self.left + self.right) * namespace(self.factor).sum(self.factor**2, axis=-1)

    def rescaled(self, left: Array, right: Array) -> LowRankAffinity:
        return replace(self, left=self.left + left, right=self.right + right, symmetric=None)

    def log_weights(self, weights: float | Array | None) -> Array:
        return log_weights_of(weights, self.left)

    def identity(self, size: int) -> Array:
        return identity_like(self.factor, size)

    def log_row_sums(self, log_weights: Array) -> Array:
        """From the logarithms of the scalings; `NormalizationError` where a sum does not exceed its own error."""
        xp = namespace(self.factor)
        received = self.right + log_weights
        shift = xp.max(received, axis=-1, keepdims=True)
        weights = xp.exp(received - shift)
        sums = self._gram_times(weights[..., None])[..., 0]
        if self.remainder is not None and not self.nonnegative:
            self._check_sums(sums, weights)
        return xp.log(check_positive(sums, sums > 0)) + shift + self.left

    def _check_sums(self, sums: Array, weights: Array) -> None:
        xp = namespace(sums)
        root = xp.sqrt(self.remainder)
        rounding = self.error_bound - scalar(xp.max(self.remainder))
        error = root * xp.sum(root * weights, axis=-1) + rounding * xp.sum(weights, axis=-1)
        check_above_error(sums, error, weights)

    def _product(self, Z: Array, left: Array, right: Array) -> Array:
        """The largest exp(right) moves over to the left, so that neither need overflow."""
        left, right = match(left, Z), match(right, Z)
        shift = namespace(Z).max(right, axis=-1, keepdims=True)
        inner = self._gram_times(namespace(Z).exp(right - shift)[..., None] * Z)
        return exponential(left + shift)[..., None] * inner

    def _gram_times(self, Z: Array) -> Array:
        """U U^T Z."""
        xp, U = namespace(Z), match(self.factor, Z)
        return xp.matmul(U, xp.matmul(transpose(U), Z))


def _check_input(X: Array, kernel: Kernel) -> None:
    check_array(X, "X", min_ndim=2)
    if X.ndim > 2:
        raise ShapeError(
            "lowrank storage takes one set of points",
            got=f"a batch of shape {tuple(X.shape)}",
            why="each set has landmarks of its own, not equally many",
            fix="build one operator for each, or use random features",
        )
    if not kernel.positive_definite:
        raise DomainError(
            "lowrank storage needs a kernel that is known to be positive semidefinite",
            got=f"{kernel!r}, positive_definite={kernel.positive_definite}",
            why="a landmark bounds the others only in a semidefinite matrix",
            fix='declare it where it is proved (FunctionKernel), or use storage="nufft", "sparse" or "streamed"',
        )


def _half_log_diagonal(X: Array, kernel: Kernel) -> tuple[Array, Array]:
    """log(omega_ii) / 2 and C_ii = 1; 0 and 0 where omega_ii = 0 and with it the whole row of a semidefinite omega."""
    xp, evaluate = namespace(X), kernel.log if kernel.exponential else kernel
    M = X.shape[0]
    blocks = [X[start : min(start + DIAGONAL_TILE, M), :] for start in range(0, M, DIAGONAL_TILE)]
    diagonal = xp.concat([xp.linalg.diagonal(evaluate(block)) for block in blocks], axis=-1)
    one = xp.ones_like(diagonal)
    if kernel.exponential:
        return diagonal / 2, one
    if bool(xp.any(diagonal < 0)):
        raise DomainError("lowrank storage needs omega_ii >= 0", got=f"a negative one from {kernel!r}")
    positive = diagonal > 0
    return xp.log(xp.where(positive, diagonal, one)) / 2, xp.where(positive, one, xp.zeros_like(one))


def _correlation(X: Array, kernel: Kernel, half: Array, pivots: np.ndarray) -> Array:
    """omega_ip / sqrt(omega_ii omega_pp) for the pivots p, (M, len(pivots)); of an exponential kernel by logarithms."""
    xp = namespace(X)
    at = xp.asarray(pivots, device=device(X))
    there, scaling = xp.take(X, at, axis=0), half[:, None] + xp.take(half, at, axis=0)[None, :]
    return xp.exp(kernel.log(X, there) - scaling) if kernel.exponential else kernel(X, there) * xp.exp(-scaling)


def _nystrom(C: Array, pivots: np.ndarray) -> Array:
    """U = C_P L^{-T} with L L^T = C_PP: the factor as a differentiable function of the columns C_P."""
    xp = namespace(C)
    try:
        L = xp.linalg.cholesky(xp.take(C, xp.asarray(pivots, device=device(C)), axis=0))
    except RuntimeError as error:
        raise DomainError(
            "the landmarks must be independent to rounding for a gradient",
            got=f"{len(pivots)} landmarks, {str(error).splitlines()[0]}",
            fix="raise tol, or pass the points in float64 or without gradient",
        ) from error
    return transpose(xp.linalg.solve(L, transpose(C)))
