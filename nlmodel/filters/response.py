"""Chebyshev coefficients of a spectral response: what a filter shall do to each eigenvalue of I - A."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.fft

from nlmodel._arrays import check_array, check_count
from nlmodel.errors import DomainError, ShapeError


MOST_NODES = 2**16
UNSEEN = 1e-15  # of the largest coefficient


def response_coefficients(response: Callable[[np.ndarray], np.ndarray], order: int) -> list[float]:
    """The coefficients of a response g(lambda) on the spectrum [0, 2] of L = I - A.

        Theta_k = (2 - [k = 0]) / pi  int_0^pi g(1 + cos t) cos(k t) dt,     k = 0, ..., order

    so that sum_k Theta_k T_k(lambda - 1) is the Chebyshev series of g, cut.  The integral is a sum over n nodes, which
    adds to Theta_k those of k' = 2 n j +- k (Mason and Handscomb 2003, section 6.3); n is doubled until the highest
    quarter of all n coefficients cannot be seen beside the largest.

    Parameters
    ----------
    response : takes a float64 array of eigenvalues in [0, 2] and returns as many numbers: lambda -> exp(-t lambda), ...
    order : number of products with A, >= 0.

    Returns  order + 1 numbers for `chebyshev_filter`.
    Raises   DomainError: a response whose coefficients do not decay: with a jump or a kink.
             ShapeError / DtypeError / NonFiniteError: what `response` returned.
    Accuracy 1e-14 max |g|, whatever `order`; the filter is off by the sum of the coefficients beyond it.
    Cost     O(n log n), a few milliseconds at most.
    """
    order = check_count(order, "order")
    count = 1 << max(5, math.ceil(math.log2(order + 2)) + 1)
    while True:
        found = _all_coefficients(response, count)
        if np.max(np.abs(found[-count // 4 :])) <= UNSEEN * math.sqrt(count) * np.max(np.abs(found)):
            return [float(theta) for theta in found[: order + 1]]
        if count >= MOST_NODES:
            raise DomainError(
                "the response must be smooth",
                got=f"Chebyshev coefficients that do not decay within {count} terms",
                why="a polynomial of any usable order would overshoot at its jump or kink",
                fix="round it off: a logistic step, a Gaussian window",
            )
        count *= 2


def _all_coefficients(response: Callable[[np.ndarray], np.ndarray], count: int) -> np.ndarray:
    """Theta_0, ..., Theta_{count-1} with the sum over the zeros of T_count, which is a cosine transform."""
    nodes = 1 + np.cos(np.pi * (np.arange(count) + 0.5) / count)
    values = check_array(np.asarray(response(nodes)), "response(lambda)", ndim=1)
    if len(values) != count:
        raise ShapeError("response must return a number for each eigenvalue", got=f"{len(values)} for {count}")
    found: Any = scipy.fft.dct(values.astype(np.float64), type=2)
    found[0] /= 2
    return found / count
