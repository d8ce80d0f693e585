"""exp(t L) as a Poisson mixture of powers of a nonnegative matrix."""

from __future__ import annotations

import math

import numpy as np

from nlmodel._arrays import Array, eps, to_numpy
from nlmodel.errors import ConvergenceError
from nlmodel.markov.uniformization import poisson_weights
from nlmodel.operators import NonlocalOperator
from nlmodel.operators.linear_map import match


LARGEST_TOTAL = 1e6  # products with L


def uniformization(op: NonlocalOperator, Z: Array, time: float) -> Array:
    """exp(time L) Z for K >= 0, by the Poisson series.

        exp(t L) = sum_n exp(-q t) (q t)^n / n! P^n,    P = I + L/q >= 0,    q = max_i r_i

    Every term is a product of nonnegative numbers, so nonnegative Z stay so to the last bit (to rounding where K
    acts by FFT), and a row-stochastic P keeps the bounds of Z.  With r_i = 1: exp(-t) sum_n t^n/n! K^n.

    Parameters
    ----------
    op : L = K - diag(r) with K >= 0 entrywise.
    Z : (..., M, C) array.
    time : >= 0.

    Raises    ConvergenceError: more than a million products would be needed.
    Accuracy  the neglected Poisson tails are below eps; the weights are scaled to add up to 1, which keeps
              constants and mass.
    Cost      q time + O(sqrt(q time)) products with L.
    """
    exits = to_numpy(op.exit_rate)
    rate = float(np.max(exits))
    total = rate * time
    if total == 0.0:
        return Z
    if total > LARGEST_TOTAL:
        raise ConvergenceError(
            f"uniformisation takes q t products with the operator, at most {LARGEST_TOTAL:.0e}",
            got=f"q t = {total:.4g}",
            fix='method="implicit_euler" for a step that long',
        )
    stay = None if np.all(exits == rate) else 1 - match(op.exit_rate, Z)[..., None] / rate
    first, weights = poisson_weights(total, eps(Z))
    weights = [float(weight) for weight in weights / math.fsum(weights)]

    def moved(field: Array) -> Array:
        arrived = op.averaging.apply(field) / rate
        return arrived if stay is None else arrived + stay * field

    power = Z
    for _ in range(first):
        power = moved(power)
    result = weights[0] * power
    for weight in weights[1:]:
        power = moved(power)
        result = result + weight * power
    return result
