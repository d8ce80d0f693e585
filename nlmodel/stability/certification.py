"""From an operator and the weights of a stage to its certificate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from nlmodel.errors import DomainError
from nlmodel.operators import NonlocalOperator
from nlmodel.stability.certificate import Certificate
from nlmodel.stability.modes import Amplification, amplification_of
from nlmodel.stability.nonlocal_spectrum import (
    EXACT_UP_TO,
    NonlocalSpectrum,
    check_operator,
    eigenvalues_of_generator,
    exact_region,
    nonlocal_spectrum,
)
from nlmodel.stability.stage_norm import StageNorm, chebyshev_modes, energy_norm, euclidean_norm
from nlmodel.stability.sub_block import kreiss_of, sub_block
from nlmodel.stability.weight import Weight, as_weights


def certify(op: NonlocalOperator, weights: Sequence[Any]) -> Certificate:
    """Certify a stage Z^{n+1} = Z^n + L Z^n (W^n)^T, n = 0 .. N-1 (Tao et al. 2018, eq. (8)).

    In the modes of L the stage is P(s) = (I - s W^{N-1}) ... (I - s W^0).  With the norm of the operator's measure
    (Euclidean when none is known), T_n the first n sub-blocks together and T = T_N, the verdict is

    ==================  ================================================================================
    "unstable"          the spectral radius of T exceeds 1, or the Kreiss constant of one of its modes is infinite;
                        otherwise
    "contractive"       max_n ||T_n|| <= 1
    "stable"            ||T|| <= 1, but some ||T_n|| > 1
    "transient_growth"  ||T|| > 1, or only an upper bound above 1 is known
    ==================  ================================================================================

    ||T|| is exact for a reversible operator of up to 2000 positions, and for any other when M C <= 1024.  Otherwise
    it is bracketed.  Reversible: P is sampled at 64 N + 1 Chebyshev points of [s_min, s_max]; the spectrum of L is
    thereby replaced by the whole interval, where the norm is at most 1.0004 times the largest of the samples.
    Not reversible: Lanczos on T^H T, to 5e-6; max_s ||P(s)|| is only a lower bound then.

    Stable factors can have an unstable product: weights that differ need a common norm, see
    `joint_spectral_radius_bounds`.  Where every ||I - s W^n|| <= 1, so is every product.

    Parameters
    ----------
    op : one nonlocal operator with a frozen kernel.
    weights : W^n in the order of application: numbers or (C, C) real or complex arrays.

    Returns  `Certificate`; its `explain()` says it in words.
    Raises   DomainError: more than 2000 positions and no known measure; DtypeError, ShapeError, NonFiniteError.
    Accuracy norms within 16 C N eps (1 + s_max max||W||) of 1 count as 1; so do spectral radii within
             4 sqrt(C eps ||P||), which is how far rounding splits a double eigenvalue.
    Cost     O(M^3 + M N C^3), and some seconds for the Kreiss constants at C = 64; O((M C)^3) for an operator without a
             measure and M C <= 1024.
    """
    check_operator(op)
    given = as_weights(weights)
    spectrum, s, sampled = _modes(op, len(given))
    modes = amplification_of(s, given)
    norm = energy_norm(modes, sampled=sampled) if op.reversible else euclidean_norm(op, modes)
    unit = max(op.eps, *(w.unit for w in given))
    slack = _slack(modes, unit)
    blocks = tuple(
        sub_block(op, spectrum, s, norms, weight, slack)
        for norms, weight in zip(modes.factor_norms, given, strict=True)
    )
    kreiss = _largest_kreiss(modes, unit, slack)
    unstable = _unstable(modes, unit) or kreiss == math.inf
    return Certificate(
        verdict=_verdict(norm, unstable, slack),
        norm=norm.upper,
        norm_lower=norm.lower,
        transient=norm.transient,
        exact=norm.exact,
        measure="energy" if op.reversible else "euclidean",
        radius=float(np.max(modes.radii)),
        kreiss=kreiss,
        unstable_product=unstable and all(block.bounded for block in blocks),
        maximum_principle=all(block.maximum.allows(1.0) for block in blocks) and _commute(given),
        modes=modes,
        blocks=blocks,
    )


def _modes(op: NonlocalOperator, blocks: int) -> tuple[NonlocalSpectrum, np.ndarray, bool]:
    """What is known of spec(-L), the s to look at, and whether they only sample an interval."""
    if op.size <= EXACT_UP_TO:
        s = eigenvalues_of_generator(op)
        return NonlocalSpectrum(exact_region(op, s), True, "exact"), s, False
    if not op.reversible:
        raise DomainError(
            f"a certificate without a measure needs all modes, at most {EXACT_UP_TO} positions",
            got=f"{op.size} positions and an affinity that is not symmetric",
            fix="certify a symmetric affinity, or a subsample of the positions; cfl_limit works at any size",
        )
    spectrum = nonlocal_spectrum(op, "lanczos")
    return spectrum, chebyshev_modes(*spectrum.ends, blocks), True


def _slack(modes: Amplification, unit: float) -> float:
    """How far above 1 the rounding errors of a stage can carry a norm."""
    reach = float(np.max(np.abs(modes.s))) * max(w.size for w in modes.weights)
    return 16 * len(modes.weights) * modes.weights[0].channels * unit * (1 + reach)


def _splitting(modes: Amplification, unit: float) -> np.ndarray:
    """How far rounding splits a double eigenvalue, mode by mode."""
    return 4 * np.sqrt(modes.weights[0].channels * unit * np.maximum(modes.norms, 1))


def _unstable(modes: Amplification, unit: float) -> bool:
    return bool(np.any(modes.radii > 1 + _splitting(modes, unit)))


def _largest_kreiss(modes: Amplification, unit: float, slack: float) -> float:
    """The largest Kreiss constant of the modes that could have it.

    Modes with ||P|| <= 1 have the constant 1.  Of the others those on the unit circle come first, because a defective
    eigenvalue there makes the powers grow without bound whatever the norm; then those of the largest norm.
    """
    most = max(4, min(64, 20_000 // modes.weights[0].channels ** 3))
    growing = np.flatnonzero(modes.norms > 1 + slack)
    inside = modes.radii[growing] < 1 - _splitting(modes, unit)[growing]
    order = growing[np.lexsort((-modes.norms[growing], inside))][:most]
    return max((kreiss_of(modes.matrix(int(k)), float(modes.norms[k]), slack) for k in order), default=1.0)


def _verdict(norm: StageNorm, unstable: bool, slack: float) -> str:
    if unstable:
        return "unstable"
    if norm.upper > 1 + slack:
        return "transient_growth"
    return "contractive" if norm.transient <= 1 + slack else "stable"


def _commute(weights: Sequence[Weight]) -> bool:
    """Whether symmetric weights share an eigenbasis."""
    return all(
        bool(np.max(np.abs(A.matrix @ B.matrix - B.matrix @ A.matrix)) <= A.tolerance * B.size + A.size * B.tolerance)
        for A, B in combinations(weights, 2)
    )
