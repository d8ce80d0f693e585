"""One end of the spectrum of a symmetric map, by Lanczos."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from nlmodel.spectrum.lanczos import lanczos, ritz_values


class Ritz(NamedTuple):
    """The smallest Ritz value, an upper bound of the smallest eigenvalue; some eigenvalue lies within `residual`."""

    value: float
    residual: float


def smallest_ritz(action: Callable[[np.ndarray], np.ndarray], size: int, *, steps: int) -> Ritz:
    """The smallest Ritz value of a symmetric map after at most `steps` steps from a fixed start.

    Keeps and orthogonalises all basis vectors: steps x size numbers.
    """
    diagonal, beside = [], []
    for diagonal, beside in lanczos(action, size, steps=min(steps, size), orthogonal=True):
        if beside[-1] <= np.finfo(np.float64).eps * max(map(abs, diagonal)):
            break
    values, residuals = ritz_values(diagonal, beside, 0, 0)
    return Ritz(float(values[0]), float(residuals[0]))
