"""The step limit that holds for every kernel of a family at once."""

from __future__ import annotations

from typing import Any

from nlmodel._arrays import check_choice
from nlmodel.stability.bound import StepBound
from nlmodel.stability.limits import spectral_limit
from nlmodel.stability.nonlocal_spectrum import NonlocalSpectrum
from nlmodel.stability.region import Disc, Interval
from nlmodel.stability.weight import as_weight


FAMILIES = {"markov": Disc(1.0), "reversible": Interval(0.0, 2.0), "psd": Interval(0.0, 1.0)}


def worst_case_limit(weight: Any = None, family: str = "markov") -> StepBound:
    """Largest tau for which Z <- Z + tau (K - I) Z W^T is spectrally stable for every K of a family.

    ============  ==================================  =================  ======================
    family        K                                   s = 1 - lambda     limit for W = mu I
    ============  ==================================  =================  ======================
    markov        row-stochastic, nonnegative         |s - 1| <= 1       1/mu, mu > 0; else 0
    reversible    the same, with detailed balance     0 <= s <= 2        Re(mu)/|mu|^2
    psd           row-normalised, omega >= 0 and PSD  0 <= s <= 1        2 Re(mu)/|mu|^2
    ============  ==================================  =================  ======================

    Each is attained within its family: by the two-point kernel with zero diagonal (s = 2), by omega = 1 (s = 1), and
    for a complex mu by long cycles, whose s = 1 - exp(i theta) leave 0 along the imaginary axis.

    Parameters
    ----------
    weight : None (= 1), a real or complex number, or a (C, C) array.
    family : "markov", "reversible" or "psd".

    Returns  `StepBound`, sharp for the family.
    Raises   ChoiceError, DtypeError, ShapeError, NonFiniteError.
    """
    check_choice(family, "family", FAMILIES)
    return spectral_limit(NonlocalSpectrum(FAMILIES[family], True, "family"), as_weight(weight))
