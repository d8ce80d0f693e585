"""The largest stable step of Z <- Z + tau L Z W^T, in three senses, each with its reason."""

from __future__ import annotations

from typing import Any

from nlmodel._arrays import check_choice
from nlmodel.errors import NotReversibleError
from nlmodel.operators import NonlocalOperator
from nlmodel.stability.bound import StepBound
from nlmodel.stability.limits import energy_limit, maximum_limit, spectral_limit
from nlmodel.stability.nonlocal_spectrum import check_operator, nonlocal_spectrum
from nlmodel.stability.weight import as_weight


NORMS = ("spectral", "energy", "max")


def cfl_limit(op: NonlocalOperator, weight: Any = None, norm: str = "spectral", *, method: str = "auto") -> StepBound:
    """Largest tau >= 0 for which Z <- Z + tau L Z W^T is stable (Tao et al. 2018, eq. (8) has tau = 1).

    With mu in spec(W) and s in spec(-L) the update has the eigenvalues 1 - tau mu s, and

        "spectral"  |1 - tau mu s| <= 1 for all mu, s         tau = min 2 Re(1/(mu s)) over mu s != 0
        "energy"    max_s ||I - tau s W||_2 <= 1              tau = 1 / (s_max ||W (W + W^H)^{+1/2}||_2^2)
        "max"       I + tau w L >= 0 entrywise for all w      tau = 1 / (w_max max_i (r_i - K_ii))

    "spectral" (von Neumann) bounds powers of the update up to a constant, which is large for a non-normal W, and up to
    polynomial growth where a defective eigenvalue has |g| = 1.  "energy" is the operator norm in the measure of
    L: no field ever grows, not even for one step.  Every step in [0, tau] is stable in either sense.  "max" is the
    discrete maximum principle: for a symmetric W with eigenvalues w >= 0 each coordinate of Z in W's
    eigenbasis stays between its extremes (with the symmetric normalisation: Z_i/sqrt(C_i) does).

    Derivation of "energy".  ||I - tau s W|| <= 1 means tau s W^H W <= W + W^H in the order of Hermitian
    matrices, hardest at s_max.  W + W^H >= 0 is necessary, and so is W x = 0 wherever (W + W^H) x = 0; then the
    inequality divided by (W + W^H)^{1/2} on both sides reads tau s_max ||W (W + W^H)^{+1/2}||^2 <= 1.
    For invertible W this is lambda_min(W^{-1} + W^{-H})/s_max.  A product W_Z W_g of rank r < C fails it generically at
    every scaling, since W + W^H then has negative eigenvalues (inertia theorem).

    Parameters
    ----------
    op : one nonlocal operator (no batch).
    weight : None (= 1), a real or complex number mu (W = mu I), also as a () array, or a (C, C) real or complex array.
    norm : "spectral", "energy" (reversible operators) or "max" (nonnegative K).
    method : how spec(-L) is found, see `nonlocal_spectrum`; "max" reads K_ii only and ignores it.

    Returns  `StepBound`: 0 with a reason where no positive step is stable, inf where every step is.
    Raises   NotReversibleError for "energy", or method="lanczos", without a known measure; DomainError for
             "gershgorin" with negative K; ChoiceError, DtypeError, ShapeError, NonFiniteError.
    Accuracy relative: 8 (M + C) eps times the condition of the eigenvalues, which is 1 for those of a reversible L;
             "lanczos" at most 5e-6 too low.  s within 8 M eps s_max of zero counts as zero (8 M eps max_i r_i on a
             grid), so does a singular value of W within 8 C eps ||W||, and Re(mu s) that close to zero counts as <= 0.
    Cost     "exact" O(M^3); "lanczos" tens to thousands of products with K; "gershgorin" and "max" O(M); W O(C^3).
    """
    check_operator(op)
    check_choice(norm, "norm", NORMS)
    W = as_weight(weight)
    if norm == "max":
        return maximum_limit(op, W)
    if norm == "energy" and not op.reversible:
        raise NotReversibleError(
            'norm="energy" needs a measure in which the operator is self-adjoint',
            got="an affinity that is not symmetric",
            why="||I - tau s W|| over the eigenvalues s is the operator norm only in that measure",
            fix='use norm="spectral" or "max", or a symmetric affinity',
        )
    spectrum = nonlocal_spectrum(op, method)
    return spectral_limit(spectrum, W) if norm == "spectral" else energy_limit(spectrum, W)
