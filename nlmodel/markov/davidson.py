"""The slowest eigenvector of a symmetric semidefinite map with a rough inverse, by Davidson's method."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import eigh

from nlmodel.spectrum.lanczos import first_vector


Map = Callable[[np.ndarray], np.ndarray]
FEWEST_STEPS = 8


def smallest_beside(
    apply: Map, rough_inverse: Map, kernel: np.ndarray, *, steps: int, relative: float, rounding: float
) -> np.ndarray | None:
    """The unit eigenvector of the smallest eigenvalue on the complement of a unit vector of the kernel, from a fixed
    start; None where so many steps do not find it.

    The basis grows by the rough inverse of the residual (Davidson 1975), 2 steps x size numbers at most.  Stops when
    the residual is <= rounding, or when residual^2 / distance of the next Ritz value is <= relative value: that is an
    error where the next Ritz value has found the next eigenvalue.  In a close pair it may stand elsewhere and the
    vector between the two, hence also residual <= size rounding, which bounds the error in every case.
    """
    size = len(kernel)
    basis, images, H = np.empty((steps + 1, size)), np.empty((steps, size)), np.zeros((steps, steps))
    basis[0] = kernel
    v = rough_inverse(first_vector(size))
    for k in range(steps):
        v = v / np.max(np.abs(v))  # its square may be beyond the range of floats
        for _ in range(2):
            v = v - (basis[: k + 1] @ v) @ basis[: k + 1]
        basis[k + 1] = v / np.linalg.norm(v)
        images[k] = apply(basis[k + 1])
        H[k, : k + 1] = basis[1 : k + 2] @ images[k]
        values, y = eigh(H[: k + 1, : k + 1], lower=True, subset_by_index=[0, min(1, k)])
        vector, v = y[:, 0] @ basis[1 : k + 2], y[:, 0] @ images[: k + 1]
        v = v - (basis[: k + 2] @ v) @ basis[: k + 2]  # what rounding leaves of slow modes, the inverse would enlarge
        residual = float(np.linalg.norm(v))
        close = residual**2 <= relative * abs(values[0]) * (values[-1] - values[0]) and residual <= size * rounding
        if residual <= rounding or (k + 1 >= FEWEST_STEPS and close):
            return vector
        v = rough_inverse(v)
    return None
