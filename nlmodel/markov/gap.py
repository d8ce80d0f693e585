"""The spectral gap of a reversible chain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import eigvalsh
from scipy.sparse import issparse

from nlmodel.errors import DomainError
from nlmodel.markov.checks import check_transition_matrix
from nlmodel.markov.matrix import DENSE_STATES, Sparse, as_dense
from nlmodel.markov.slowest import slowest_rate
from nlmodel.markov.smallest import smallest_eigenvalue
from nlmodel.markov.symmetric import SymmetricForm, symmetric_form


@dataclass(frozen=True)
class SpectralGap:
    """Both ends of the spectrum 1 = lambda_1 >= lambda_2 >= ... >= lambda_min >= -1 of a reversible chain.

    Attributes
    ----------
    gap : 1 - lambda_2, the decay rate of the slowest mode of the continuous-time chain.
    lambda_2 : the second largest eigenvalue.
    lambda_min : the smallest eigenvalue, None when not asked for.
    absolute_gap : 1 - max(|lambda_2|, |lambda_min|), which bounds mixing in discrete time; None without lambda_min.
    """

    gap: float
    lambda_2: float
    lambda_min: float | None
    absolute_gap: float | None


def spectral_gap(P: Any, *, absolute: bool = True) -> SpectralGap:
    """The distance of the second eigenvalue from 1, and of all but the first from the unit circle.

    The eigenvalues of a reversible P are those of the symmetric S_ij = sqrt(P_ij P_ji).  Dense chains, and
    sparse ones of at most 512 states: all eigenvalues of I - S.  Larger sparse chains: Davidson's method on the
    complement of sqrt(pi), with the chain between lumps of neighbouring states as a rough inverse; where it does
    not converge, the pseudo-inverse of I - S instead, by one sparse factorisation with a symmetric ordering.

    Parameters
    ----------
    P : (M, M) transition matrix, M >= 2, P_ij = probability of i -> j; an operator stands for its averaging matrix K.
        For a generator Q: max|Q_ii| * spectral_gap(uniformized(Q)).gap.
    absolute : also find the smallest eigenvalue.

    Returns  `SpectralGap`.
    Raises   NotReversibleError (a DomainError): P is not reversible; the message says what to do.
             ConvergenceError: Davidson's method, the factorisation or the bounds on the smallest eigenvalue failed.
    Accuracy absolute error of a few M eps, so a relative one of M eps / gap.  A chain in several pieces has
             gap 0 exactly.
    Cost     O(M^3) dense; sparse about 80 products and the factorisation of the chain between lumps, of 5 to 10
             states each where a state has about ten neighbours; the smallest eigenvalue the fill of several
             factorisations of the pattern of P.
    """
    A = check_transition_matrix(P)
    form = symmetric_form(A)
    if issparse(A) and A.shape[0] > DENSE_STATES:
        return _of_large(A, form, absolute)
    laplacian = -as_dense(form.matrix, "spectral_gap")
    np.fill_diagonal(laplacian, form.exits)
    distances = eigvalsh(laplacian)
    return _result(float(distances[1]), form.components, 1 - float(distances[-1]) if absolute else None)


def _of_large(A: Sparse, form: SymmetricForm, absolute: bool) -> SpectralGap:
    gap = slowest_rate(A, form) if form.components == 1 else 0.0
    return _result(gap, form.components, smallest_eigenvalue(form.matrix) if absolute else None)


def _result(gap: float, components: int, lowest: float | None) -> SpectralGap:
    gap = 0.0 if components > 1 else max(gap, 0.0)
    lowest = None if lowest is None else max(lowest, -1.0)
    absolute = None if lowest is None else min(gap, 2 - gap, 1 - abs(lowest))
    return SpectralGap(gap, 1 - gap, lowest, absolute)


def second_eigenvalue_modulus(P: Any) -> float:
    """The largest |lambda| over the spectrum of P without one eigenvalue 1, for any chain, reversible or not.

        lim_n || P^n - 1 pi^T ||^{1/n}     where pi is unique

    The asymptotic rate only: a chain that is not reversible may first stay far from equilibrium, and no
    bound on its mixing time follows from this number alone.

    Parameters
    ----------
    P : (M, M) transition matrix, M >= 2, dense, or sparse of at most 512 states.

    Returns  float in [0, 1] to rounding.
    Raises   DomainError: fewer than 2 states, or a larger sparse chain.
    Accuracy eps times the condition number of the eigenvalue; a defective one of multiplicity m loses to
             eps^{1/m}.
    Cost     O(M^3).
    """
    A = as_dense(check_transition_matrix(P), "second_eigenvalue_modulus")
    if len(A) < 2:
        raise DomainError("a second eigenvalue needs at least 2 states", got=f"{len(A)} state")
    values = np.linalg.eigvals(A)
    return float(np.max(np.abs(np.delete(values, np.argmin(np.abs(values - 1))))))
