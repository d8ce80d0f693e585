"""Bounds of the mixing time from the spectrum of a reversible chain."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from nlmodel._arrays import check_number
from nlmodel.markov.checks import check_transition_matrix
from nlmodel.markov.classes import class_period
from nlmodel.markov.gap import spectral_gap
from nlmodel.markov.matrix import as_csr
from nlmodel.markov.stationary import log_stationary


@dataclass(frozen=True)
class MixingBounds:
    """lower <= mixing time <= upper, with the relaxation time 1 / absolute gap from which they come."""

    lower: float
    upper: float
    relaxation_time: float


def mixing_time_bounds(P: Any, eps: float = 0.25) -> MixingBounds:
    """Bounds of the mixing time of a reversible chain from its spectrum alone.

        (t_rel - 1) log(1 / (2 eps)) <= t_mix(eps) <= t_rel log(1 / (eps pi_min)),     t_rel = 1 / absolute gap

    Levin, Peres, Wilmer 2009, theorems 12.3 and 12.4.

    Parameters
    ----------
    P : (M, M) reversible irreducible transition matrix, dense or sparse; an operator stands for its averaging matrix K.
    eps : in (0, 1).

    Returns  `MixingBounds`; infinite for a periodic chain, whose absolute gap is 0.
    Raises   NotReversibleError, and DomainError for several recurrent classes.
    Cost     that of `spectral_gap`.
    """
    A = check_transition_matrix(P)
    eps = check_number(eps, "eps", above=0, below=1)
    gap, logs = spectral_gap(A).absolute_gap, log_stationary(A)
    if not gap or class_period(as_csr(A)) > 1:
        return MixingBounds(math.inf if eps < 0.5 else 0.0, math.inf, math.inf)
    lower = max(0.0, (1 / gap - 1) * math.log(1 / (2 * eps)))
    return MixingBounds(lower, (math.log(1 / eps) - float(np.min(logs))) / gap, 1 / gap)
