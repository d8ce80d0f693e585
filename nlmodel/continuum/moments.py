"""What a quadrature does to quadratics: the necessary condition for the right local limit."""

from __future__ import annotations

import numpy as np

from nlmodel._arrays import Array, check_array, check_number, to_numpy


def second_moment_defect(weights: Array, spacing: float, *, moment: float = 2.0) -> float:
    """Relative error of the second moment of the weights.

        2 sum_j (jh)^2 w_j / M_2 - 1,   M_2 = int |xi|^2 rho(xi) dxi

    L_h x^2 = (1 + defect) M_2, so that along a path (delta, h) -> 0 the limit of L_h is (1 + defect) times the
    right one. Zero to rounding for compatible weights; 3/(2r) + 1/(2r^2) for the Riemann sum of the top-hat
    with delta = r h, 1/(2r^2) if its last weight is halved.

    Parameters
    ----------
    weights : (J,) array of a real floating dtype, w_1, ..., w_J.
    spacing : h > 0.
    moment : M_2; 2 for a scaled kernel, otherwise `kernel.moment(2)`.

    Returns  float.
    Raises   ShapeError / DtypeError / NonFiniteError / DomainError.
    Accuracy absolute error <= 4 J eps; computed in float64.
    """
    w = to_numpy(check_array(weights, "weights", ndim=1)).astype(np.float64)
    h = check_number(spacing, "spacing", above=0.0)
    target = check_number(moment, "moment", above=0.0)
    return float(2.0 * np.sum((h * np.arange(1, len(w) + 1)) ** 2 * w) / target - 1.0)
