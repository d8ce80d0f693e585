"""The smallest eigenvalue of a symmetric map with a rough inverse, by Davidson's method."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import eigh

from nlmodel.markov.lanczos import FEWEST_STEPS, Ritz
from nlmodel.spectrum.lanczos import first_vector


Map = Callable[[np.ndarray], np.ndarray]


def smallest_beside(
    apply: Map, rough_inverse: Map, kernel: np.ndarray, *, steps: int, relative: float, rounding: float
) -> tuple[Ritz, np.ndarray]:
    """The smallest Ritz value on the complement of a unit vector of the kernel, and its vector of norm 1.

    The basis grows by the rough inverse of the residual (Davidson 1975), 2 steps x size numbers at most.  Stops when
    `error` <= relative |value| or `residual` <= rounding, from a fixed start.
    """
    size = len(kernel)
    basis, images, H = np.empty((steps + 1, size)), np.empty((steps, size)), np.empty((steps, steps))
    basis[0] = kernel
    v, found, vector = rough_inverse(first_vector(size)), Ritz(np.inf, np.inf, np.inf), kernel
    for k in range(steps):
        for _ in range(2):
            v = v - (basis[: k + 1] @ v) @ basis[: k + 1]
        basis[k + 1] = v / np.linalg.norm(v)
        images[k] = apply(basis[k + 1])
        H[k, : k + 1] = basis[1 : k + 2] @ images[k]
        values, y = eigh(H[: k + 1, : k + 1], lower=True, subset_by_index=[0, min(1, k)])
        vector, image = y[:, 0] @ basis[1 : k + 2], y[:, 0] @ images[: k + 1]
        v = image - values[0] * vector
        residual, apart = float(np.linalg.norm(v)), float(values[-1] - values[0])
        error = min(residual, residual**2 / apart) if apart > 0 else residual
        found = Ritz(float(values[0]), residual, error)
        if residual <= rounding or (k + 1 >= FEWEST_STEPS and error <= relative * abs(found.value)):
            break
        v = rough_inverse(v)
    return found, vector
