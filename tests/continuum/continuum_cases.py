"""Kernels and mesh sizes of these tests, moments, and quadratures that are wrong on purpose."""

import math

import numpy as np
from hypothesis import strategies as st
from scipy.linalg import toeplitz

from nlmodel.kernels import Exponential, InverseDistance, Power, TopHat, TruncatedGaussian, fractional


HORIZON = 0.2
FINITE = [
    TopHat(HORIZON),
    InverseDistance(HORIZON),
    Power(HORIZON, 0.5),
    Power(HORIZON, -1.0),
    Power(HORIZON, 2.9),
    fractional(HORIZON, 0.3),
    TruncatedGaussian(HORIZON, 0.07),
    TruncatedGaussian(HORIZON, 0.004),
    Exponential(HORIZON, 0.05),
    Exponential(HORIZON, 0.001),
]
ON_ALL_SPACE = [TruncatedGaussian(math.inf, 0.02), Exponential(math.inf, 0.004)]

horizons = st.floats(0.05, 2.0)
resolutions = st.floats(0.05, 30.0)  # delta/h, below 1 too


@st.composite
def kernels(draw):
    """A scaled kernel >= 0 with a finite horizon."""
    delta = draw(horizons)
    width = delta * draw(st.floats(0.01, 3.0))
    return draw(
        st.sampled_from(
            [
                TopHat(delta),
                InverseDistance(delta),
                Power(delta, draw(st.floats(-3.0, 2.95))),
                TruncatedGaussian(delta, width),
                Exponential(delta, width),
            ]
        )
    )


def offsets(weights, h):
    """h, 2h, ..., Jh."""
    return h * np.arange(1, len(weights) + 1)


def symbol(weights, h, k):
    """L_h exp(ikx) = symbol exp(ikx): -2 sum_j w_j (1 - cos jhk), without cancellation."""
    return -4 * np.sum(weights * np.sin(0.5 * np.outer(k, offsets(weights, h))) ** 2, axis=-1)


def trap(delta, r):
    """(1/(jh)^2) int hat_j s^2 rho ds for the top-hat with h = delta/r: D/s^2 interpolated, and no node at 0."""
    j = np.arange(1, r + 1)
    integral = j**2 + 1 / 6
    integral[-1] = (r - 1) ** 2 / 2 + 2 * (r - 1) / 3 + 1 / 4
    return 3 * (delta / r) / delta**3 * integral / j**2


def halved(weights):
    """The last weight halved."""
    return np.append(weights[:-1], 0.5 * weights[-1])


def stiffness(weights, n):
    """-L_h on n nodes."""
    column = np.zeros(max(n, len(weights) + 1))
    column[0] = 2 * np.sum(weights)
    column[1 : len(weights) + 1] = -weights
    return toeplitz(column[:n])


def dense_solve(weights, cells, source, constraint):
    """The volume-constrained problem on (0, 1) by dense linear algebra: nodes inside, values there, matrix."""
    h, J = 1 / cells, len(weights)
    x = h * np.arange(1 - J, cells + J)
    A = stiffness(weights, len(x))
    inside = slice(J, J + cells - 1)
    known = constraint(x)
    known[inside] = 0.0
    inner = A[inside, inside]
    return x[inside], np.linalg.solve(inner, source(x[inside]) - (A @ known)[inside]), inner
