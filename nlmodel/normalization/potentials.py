"""From the raw affinity omega to the averaging matrix K: none, row, symmetric, Sinkhorn, alpha.

Every normalisation is a pair of log-scalings ("potentials") of the affinity,

    K_ij = exp(left_i) omega_ij exp(right_j),        L = K - diag(exit_rate),

and is found from row sums alone, so that one code serves every representation of omega, in the log domain
where exp() could overflow.  When omega is symmetric, K is self-adjoint in the measure exp(right - left).
Quadrature weights w_j (cell volumes) enter as omega_ij w_j: without them sum_j omega_ij (Z_j - Z_i) is not an
approximation of int rho(x, y) (z(y) - z(x)) dy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from nlmodel._arrays import Array, check_choice, check_number, namespace
from nlmodel.normalization.row_sums import RowSums, check_positive
from nlmodel.normalization.sinkhorn import sinkhorn


HOW = ("none", "row", "symmetric", "sinkhorn", "alpha")
UNIT_ROWS = ("row", "alpha")
"""Normalisations that end with a division by the row sums."""


@dataclass(frozen=True)
class Potentials:
    """A normalisation: K_ij = exp(left_i) omega_ij exp(right_j) and what it carries and keeps.

    Attributes
    ----------
    left, right : (..., M) log-scalings.
    degree : (..., M) row sums C_i = sum_j omega_ij w_j of the raw affinity; infinite where they leave the range.
    exit_rate : (..., M) the diagonal that L subtracts: C for "none", 1 otherwise.
    measure : (..., M) weights in which K is self-adjoint, or None when no such measure is known.  A factor is
        free; it is chosen so that sums over the measure stay within the range of the dtype.
    how : the name of the normalisation.
    keeps : names of the theorems that hold: "constants" (L 1 = 0), "weighted_mean" (the mean in `measure` is
        conserved), "self_adjoint" (in `measure`; real spectrum), "maximum_principle" (within its CFL limit),
        "contraction" (spectrum of K in [-1, 1], so that the energy decreases within the CFL limit).
    """

    left: Array
    right: Array
    degree: Array
    exit_rate: Array
    measure: Array | None
    how: str
    keeps: frozenset[str]

    def with_row_sums(self, sums: Array) -> Potentials:
        """The same after a division of the rows of K by their `sums`, which came out as 1 + O(eps |log C|)."""
        left = self.left - namespace(sums).log(check_positive(sums, sums > 0))
        return replace(self, left=left, measure=None if self.measure is None else self.measure * sums)

    def __repr__(self) -> str:
        return f"Potentials(how={self.how!r}, shape={tuple(self.left.shape)}, keeps={sorted(self.keeps)})"


def potentials(
    sums: RowSums,
    how: str,
    log_weights: Array,
    *,
    symmetric: bool,
    nonnegative: bool,
    alpha: float = 1.0,
) -> Potentials:
    """The scalings of one normalisation, from row sums only.

    With b = log w and C_i = sum_j omega_ij w_j:

    ==========  ======================================  ==================  =========
    how         left, right                             measure             exit rate
    ==========  ======================================  ==================  =========
    none        0, b                                    w                   C
    row         -log C, b                               w C                 1
    symmetric   -log(C)/2, -log(C)/2 + b                w                   1
    sinkhorn    u, u + b,  exp(u) omega (w exp(u)) = 1  w                   1
    alpha       v - log D, v + b,  v = -alpha log C     w D                 1
    ==========  ======================================  ==================  =========

    where D_i = sum_j exp(v_i + v_j) omega_ij w_j (Coifman and Lafon 2006).  "row" is Tao et al. 2018, eq. (9).

    Raises
    ------
    NormalizationError : a row sum is not positive.
    ConvergenceError : Sinkhorn did not reach its tolerance, by 10,000 iterations or because it stalled.
    DomainError : Sinkhorn of an affinity that is not symmetric or has negative entries.

    Cost: one product with omega; two for "alpha"; one per iteration for "sinkhorn".
    """
    check_choice(how, "normalize", HOW)
    xp = namespace(log_weights)
    b = log_weights
    kept = {"constants"}
    if how == "none":
        degree = sums.row_sums(xp.exp(b))
        left, right, exit_rate = xp.zeros_like(degree), xp.zeros_like(degree) + b, degree
    else:
        log_degree = sums.log_row_sums(b)
        with np.errstate(over="ignore"):  # an infinite degree is the answer there
            degree = xp.exp(log_degree)
        if how == "row":
            left, right = -log_degree, xp.zeros_like(log_degree) + b
        elif how == "symmetric":
            left, right = -log_degree / 2, b - log_degree / 2
            kept = set()
        elif how == "sinkhorn":
            u = sinkhorn(sums, b, log_degree, symmetric=symmetric, nonnegative=nonnegative)
            left, right = u, u + b
        else:
            v = -check_number(alpha, "alpha") * log_degree
            left, right = -sums.log_row_sums(v + b), v + b
        exit_rate = xp.ones_like(left)
    if symmetric:
        kept |= {"self_adjoint"} | ({"weighted_mean"} if "constants" in kept else set())
        kept |= {"contraction"} if nonnegative and how != "none" else set()
    if nonnegative and "constants" in kept:
        kept.add("maximum_principle")
    measure = _measure(right - left) if symmetric else None
    return Potentials(left, right, degree, exit_rate, measure, how, frozenset(kept))


def _measure(log_measure: Array) -> Array:
    """exp(log_measure); where its sum could leave the range of the dtype, divided by its largest value first."""
    xp = namespace(log_measure)
    limit = math.log(float(xp.finfo(log_measure.dtype).max)) / 2
    top = xp.max(log_measure, axis=-1, keepdims=True)
    return xp.exp(log_measure - xp.where(xp.abs(top) > limit, top, xp.zeros_like(top)))
