"""exp(-d) as compilers turn it into vector instructions: a polynomial and squarings, or the bits of a number."""

from __future__ import annotations

import numpy as np
from numpy.polynomial import Polynomial, chebyshev


FARTHEST = {"float32": 16.0, "float64": 40.0}  # beyond, exp(-d) is below the rounding of a sum that holds exp(0)
MULTIPLIER, OFFSET = 1512775.3951951856938, 1072632447  # 2^20 / ln 2, 1023 2^20 - 60801
DOUBLINGS, DEGREE = {"float32": 5, "float64": 6}, {"float32": 5, "float64": 10}


def coefficients(dtype: np.dtype) -> np.ndarray:
    """(DEGREE + 1,) ascending coefficients in d of a polynomial p with p(d)^(2^DOUBLINGS) = exp(-d) on [0, FARTHEST].

    Accuracy   relative error below 8 2^DOUBLINGS roundings: p interpolates exp(-x) in Chebyshev points of
               [0, FARTHEST / 2^DOUBLINGS], which is short, and each squaring doubles the relative error.
    """
    name = dtype.name
    half = FARTHEST[name] / 2 ** DOUBLINGS[name] / 2
    found = chebyshev.chebinterpolate(lambda t: np.exp(-half * (1 + t)), DEGREE[name])
    in_t = Polynomial(chebyshev.cheb2poly(found))
    return in_t(Polynomial([-1.0, 2 / FARTHEST[name]])).coef.astype(dtype)


def schraudolph(d: np.ndarray) -> np.ndarray:
    """exp(-d) within 6.2 %, piecewise linear: its exponent and first twenty digits are one whole number.

    Schraudolph 1999, eq. (2), with the offset of least mean square error.
    """
    bits = (-MULTIPLIER * d).astype(np.int64)
    bits += OFFSET
    bits <<= 32
    return bits.view(np.float64).astype(d.dtype, copy=False)
