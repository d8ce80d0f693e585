"""One end of the spectrum of a symmetric map, by Lanczos."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from nlmodel.spectrum.lanczos import lanczos, ritz_values


FEWEST_STEPS = 8


class Ritz(NamedTuple):
    """The smallest Ritz value, an upper bound of the smallest eigenvalue.

    Some eigenvalue lies within `residual`, and within `error` = residual^2 / distance of the next Ritz value when the
    Ritz value belongs to the end of the spectrum.
    """

    value: float
    residual: float
    error: float


def smallest_ritz(action: Callable[[np.ndarray], np.ndarray], size: int, *, steps: int, relative: float = 0.0) -> Ritz:
    """The smallest Ritz value of a symmetric map after at most `steps` steps from a fixed start.

    Stops earlier when `error` <= relative |value|.  Keeps and orthogonalises all basis vectors: steps x size numbers.
    """
    found, most = Ritz(np.inf, np.inf, np.inf), min(steps, size)
    for step, (diagonal, beside) in enumerate(lanczos(action, size, steps=most, orthogonal=True), start=1):
        exhausted = beside[-1] <= np.finfo(np.float64).eps * max(map(abs, diagonal))
        if exhausted or step == most or (relative and step >= FEWEST_STEPS):
            found = _ritz(diagonal, beside)
            if exhausted or found.error <= relative * abs(found.value):
                break
    return found


def _ritz(diagonal: list[float], beside: list[float]) -> Ritz:
    values, residuals = ritz_values(diagonal, beside, 0, min(1, len(diagonal) - 1))
    residual = float(residuals[0])
    apart = float(values[1] - values[0]) if len(values) > 1 else 0.0
    return Ritz(float(values[0]), residual, min(residual, residual**2 / apart) if apart > 0 else residual)
