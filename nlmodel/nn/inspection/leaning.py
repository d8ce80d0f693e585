"""Which way a weight leans: does it damp or amplify in the original form, beyond what its shape does to any weight?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nlmodel.audit.sections.signs import null_of
from nlmodel.audit.weighed import Weighed
from nlmodel.spectrum import sign_z_score, signed_mass


CLEAR = 3.0  # standard deviations of the null model
HEAVY = 0.5  # share of the mass: three times as much on one side as on the other


@dataclass(frozen=True)
class Leaning:
    """The lean of one weight.

    Attributes
    ----------
    word : "damping" (negative eigenvalues of W~ lead), "amplifying" (positive ones), "mixed" or "zero".
    balance : (p + n) / (p - n) in [-1, 1], p and n the sums of the positive and the negative eigenvalues of W~.
    z : z-score of the number of negative ones among the largest, None where the shape fixes it.
    """

    word: str
    balance: float
    z: float | None


def leaning(x: Weighed) -> Leaning:
    """The lean by sizes and by counts against chance; a clear one of either decides."""
    mass = signed_mass(x.matrix)
    total = mass.positive - mass.negative
    if total == 0 or x.rank == 0:
        return Leaning("zero", 0.0, None)
    null = null_of(x)
    z = sign_z_score(x.matrix, null.k, null) if null is not None and null.std else None
    balance = (mass.positive + mass.negative) / total
    votes = [np.sign(balance) if abs(balance) >= HEAVY else 0.0, 0.0 if z is None or abs(z) < CLEAR else -np.sign(z)]
    side = float(np.sign(sum(votes)))
    return Leaning({-1.0: "damping", 1.0: "amplifying"}.get(side, "mixed"), balance, z)
