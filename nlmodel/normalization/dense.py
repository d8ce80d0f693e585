"""Normalisation of a dense affinity of any library, given as itself or as its logarithm."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nlmodel._arrays import (
    Array,
    check_alike,
    check_array,
    check_number,
    check_square,
    device,
    eps,
    log_sum_exp,
    namespace,
    scalar,
    transpose,
)
from nlmodel.errors import DomainError, ShapeError
from nlmodel.normalization.potentials import UNIT_ROWS, Potentials, potentials
from nlmodel.normalization.row_sums import check_positive, log_of_row_sums


@dataclass(frozen=True)
class Normalized:
    """The averaging matrix K of a dense affinity, with the fields of `Potentials`."""

    K: Array
    degree: Array
    exit_rate: Array
    measure: Array | None
    how: str
    keeps: frozenset[str]

    def __repr__(self) -> str:
        return f"Normalized(how={self.how!r}, shape={tuple(self.K.shape)}, keeps={sorted(self.keeps)})"


def normalize(
    omega: Array,
    how: str = "row",
    *,
    log: bool = False,
    weights: float | Array | None = None,
    alpha: float = 1.0,
) -> Normalized:
    """K of a dense affinity, with its degree and the measure in which it is self-adjoint.

        K = D^{-1} omega ("row"),  D^{-1/2} omega D^{-1/2} ("symmetric"),  diag(d) omega diag(d) ("sinkhorn")

    Tao et al. 2018, eq. (9) for "row"; `potentials` lists all five with their measures.

    Parameters
    ----------
    omega : (..., M, M) array; its logarithm when `log` is true (-inf stands for a zero affinity).
    how : "none", "row", "symmetric", "sinkhorn" or "alpha".
    weights : quadrature weights, a positive number or an (M,) array; default 1.
    alpha : exponent of the diffusion-maps normalisation, used by "alpha" only.

    Cost: O(M^2) time and memory; "sinkhorn" O(M^2) per iteration, typically tens of them.
    """
    check_dense(omega, log=log)
    sums = DenseRowSums(omega, log)
    found = potentials(
        sums,
        how,
        log_weights_of(weights, omega),
        symmetric=is_symmetric(omega, log=log),
        nonnegative=log or is_nonnegative(omega),
        alpha=alpha,
    )
    K, found = averaging(omega, found, log=log)
    return Normalized(K, found.degree, found.exit_rate, found.measure, found.how, found.keeps)


@dataclass(frozen=True)
class DenseRowSums:
    """Row sums of a dense affinity, given as omega or as log omega."""

    omega: Array
    log: bool

    def row_sums(self, weights: Array) -> Array:
        xp = namespace(self.omega)
        omega = exponential(self.omega) if self.log else self.omega
        return xp.matmul(omega, weights[..., None])[..., 0]

    def log_row_sums(self, log_weights: Array) -> Array:
        if not self.log:
            return log_of_row_sums(self.row_sums, log_weights)
        xp = namespace(self.omega)
        found = log_sum_exp(self.omega + log_weights[..., None, :])
        positive = found > -math.inf
        check_positive(xp.astype(positive, found.dtype), positive)
        return found


def averaging(omega: Array, found: Potentials, *, log: bool = False) -> tuple[Array, Potentials]:
    """K, and `found` as it came out: where the rows should sum to one, rounding of large logarithms is divided out."""
    K = rescale(omega, found.left, found.right, log=log)
    if found.how not in UNIT_ROWS:
        return K, found
    row_sums = namespace(K).sum(K, axis=-1)
    found = found.with_row_sums(row_sums)
    return K / row_sums[..., None], found


def rescale(omega: Array, left: Array, right: Array, *, log: bool = False) -> Array:
    """exp(left_i) omega_ij exp(right_j), with the exponents added first when omega is given as a logarithm."""
    xp = namespace(omega)
    if log:
        return exponential(omega + left[..., :, None] + right[..., None, :])
    return xp.exp(left)[..., :, None] * omega * xp.exp(right)[..., None, :]


def exponential(logits: Array) -> Array:
    """exp(logits), or a `DomainError` that names the largest logit where the result would overflow."""
    xp = namespace(logits)
    largest, limit = scalar(xp.max(logits)), math.log(float(xp.finfo(logits.dtype).max))
    if not largest <= limit:
        raise DomainError(
            "exp() of the affinity overflows",
            got=f"largest logit {largest:.6g} in {logits.dtype}, whose limit is {limit:.6g}",
            why="an unnormalised exponential affinity has no finite value there",
            fix='use normalize="row", "symmetric", "sinkhorn" or "alpha", which work on logarithms,'
            " or scale the features",
        )
    return xp.exp(logits)


def check_dense(omega: Array, *, log: bool = False) -> Array:
    """Return `omega` when it is a square, non-empty, finite affinity (or a logarithm of one, below +inf)."""
    check_square(check_array(omega, "omega", min_ndim=2, finite=not log), "omega")
    if log:
        xp = namespace(omega)
        if bool(xp.any(xp.isnan(omega))) or bool(xp.any(omega == xp.inf)):
            raise DomainError("log omega must be below +inf and not NaN", got="NaN or +inf among its entries")
    return omega


def is_symmetric(omega: Array, *, log: bool = False) -> bool:
    """Whether |omega_ij - omega_ji| <= 16 eps sqrt(t_i t_j) for all pairs, t_i the largest entry of row i.

    That bounds the defect of M^{1/2} K M^{-1/2}, whatever the scale of each row: a large block does not excuse a
    small one, nor one matrix of a batch another.
    """
    top = row_tops(omega, log=log)
    return is_mirrored(omega, transpose(omega), top, top, log=log)


def row_tops(omega: Array, *, log: bool = False) -> Array:
    """The largest |omega_ij| of each row; of log omega the largest entry, 0 where all are infinite.  (..., M)."""
    xp = namespace(omega)
    if not log:
        return xp.max(xp.abs(omega), axis=-1)
    top = xp.max(omega, axis=-1)
    return xp.where(xp.isfinite(top), top, xp.zeros_like(top))


def is_mirrored(tile: Array, mirrored: Array, tops: Array, other_tops: Array, *, log: bool = False) -> bool:
    """`is_symmetric` of one tile of omega and the transpose of its mirror image, from the tops of rows and columns."""
    xp = namespace(tile)
    with np.errstate(over="ignore"):
        if log:
            defect, bound = _log_defect(tile, mirrored, tops[..., :, None], other_tops[..., None, :])
        else:
            size = xp.sqrt(tops)[..., :, None] * xp.sqrt(other_tops)[..., None, :]
            defect, bound = xp.abs(tile - mirrored), 16 * eps(tile) * size
        return bool(xp.all(defect <= bound))


def _log_defect(tile: Array, mirrored: Array, top: Array, other: Array) -> tuple[Array, Array]:
    """The same for log omega, after division by sqrt(t_i t_j); log t brings its own rounding, up to sqrt(eps)."""
    xp = namespace(tile)
    here, there = (xp.exp(xp.clip(logits - top / 2 - other / 2, max=1.0)) for logits in (tile, mirrored))
    bound = 16 * eps(tile) * xp.clip(xp.sqrt(xp.abs(top)) * xp.sqrt(xp.abs(other)), min=1.0)
    return xp.abs(here - there), xp.clip(bound, max=eps(tile) ** 0.5)


def is_nonnegative(omega: Array) -> bool:
    """Whether every entry is >= 0, exactly."""
    return bool(namespace(omega).all(omega >= 0))


def log_weights_of(weights: float | Array | None, reference: Array) -> Array:
    """log of the quadrature weights as an (M,) array beside `reference` (..., M, M)."""
    xp = namespace(reference)
    size = reference.shape[-1]
    if weights is None:
        return xp.zeros((size,), dtype=reference.dtype, device=device(reference))
    if isinstance(weights, int | float | np.integer | np.floating):
        log_weight = math.log(check_number(weights, "weights", above=0.0))
        return xp.full((size,), log_weight, dtype=reference.dtype, device=device(reference))
    return xp.log(_checked_weights(weights, reference, size))


def _checked_weights(weights: Array, reference: Array, size: int) -> Array:
    check_array(weights, "weights", ndim=1)
    xp = check_alike(omega=reference, weights=weights)
    if weights.shape[0] != size:
        raise ShapeError("weights must have one entry a position", got=f"{weights.shape[0]} for {size} positions")
    if not bool(xp.all(weights > 0)):
        smallest = f"smallest {scalar(xp.min(weights)):.6g}"
        raise DomainError("weights must be positive", got=smallest, why="they are cell volumes")
    return weights
