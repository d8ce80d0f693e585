"""Quadrature weights: values in high precision, closed forms, moments, symbols, the Riemann sum and the trap."""

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlmodel.continuum import compatible_weights, riemann_weights, second_moment_defect
from nlmodel.kernels import Exponential, InverseDistance, TopHat, TruncatedGaussian
from nlmodel.testing import assert_close, observed_order, tolerance
from tests.continuum.continuum_cases import (
    FINITE,
    HORIZON,
    ON_ALL_SPACE,
    halved,
    horizons,
    kernels,
    offsets,
    resolutions,
    symbol,
    trap,
)


def piece(kernel, order, a, b):
    """int_a^b s^order phi(s) ds in mpmath, unscaled."""
    q = mp.mpf(order + 1)
    if isinstance(kernel, TruncatedGaussian):
        width = mp.sqrt(2) * mp.mpf(kernel.scale)
        return width**q * mp.gammainc(q / 2, (a / width) ** 2, (b / width) ** 2) / 2
    if isinstance(kernel, Exponential):
        scale = mp.mpf(kernel.scale)
        return scale**q * mp.gammainc(q, a / scale, b / scale)
    q -= {TopHat: 0, InverseDistance: 1}.get(type(kernel), getattr(kernel, "exponent", 0))
    return (b**q - a**q) / q


def exact_weights(kernel, h, J):
    """The definition, hat by hat, and the scaling to the second moment 2."""
    h, end = mp.mpf(h), mp.mpf(kernel.horizon)
    c = 1 / piece(kernel, 2, mp.mpf(0), end)
    values = []
    for j in range(1, J + 1):
        a, b, d = (j - 1) * h, min(j * h, end), min((j + 1) * h, end)
        rising = piece(kernel, 2, a, b) / h - ((j - 1) * piece(kernel, 1, a, b) if j > 1 else 0)
        falling = (j + 1) * piece(kernel, 1, b, d) - piece(kernel, 2, b, d) / h if b < d else 0
        values.append(c * (rising + falling) / (j * h))
    return values


@pytest.mark.parametrize("h", [0.05, 0.07, 0.3])
@pytest.mark.parametrize("kernel", [*FINITE, *ON_ALL_SPACE], ids=repr)
def test_weights_against_mpmath(kernel, h):
    weights = compatible_weights(kernel, h)
    assert weights.dtype == np.float64
    with mp.workdps(80):
        exact = exact_weights(kernel, h, len(weights))
        for j, (actual, w) in enumerate(zip(weights, exact, strict=True), start=1):
            decades = mp.log(max(exact) / w)
            cut = 2**-60 / (j * h) ** 2  # what the extent of the kernel leaves out
            assert abs(mp.mpf(float(actual)) - w) <= tolerance("reduction", n=16, scale=float(w * (1 + decades))) + cut


@pytest.mark.parametrize("r", [1, 2, 3, 10])
def test_closed_forms(r):
    h, j = HORIZON / r, np.arange(1, r + 1)
    flat = np.full(r, 3 * h / HORIZON**3)
    flat[-1] *= 0.5 - 1 / (6 * r)
    assert_close(compatible_weights(TopHat(HORIZON), h), flat, "reduction", n=8)
    assert_close(compatible_weights(InverseDistance(HORIZON), h), halved(2 / (HORIZON**2 * j)), "reduction", n=8)
    with pytest.raises(AssertionError):  # the control: the trapezoidal rule of the top-hat is not compatible
        assert_close(halved(np.full(r, 3 * h / HORIZON**3)), flat, "reduction", n=8)


@settings(max_examples=50)
@given(kernel=kernels(), ratio=st.floats(1.0, 100.0))
def test_a_mesh_as_coarse_as_the_horizon_gives_the_three_point_scheme(kernel, ratio):
    h = kernel.horizon * ratio
    assert_close(compatible_weights(kernel, h), np.array([h**-2]), "reduction", n=8)


@settings(max_examples=50)
@given(delta=horizons, r=st.integers(1, 300))
def test_a_horizon_of_whole_cells_reaches_its_last_offset_and_no_further(delta, r):
    for h in (delta / r, delta / r * (1 + 2**-50), delta / r * (1 - 2**-50)):
        for weights in (compatible_weights(TopHat(delta), h), riemann_weights(TopHat(delta), h)):
            assert len(weights) == r and weights[-1] > 0


def test_offsets_on_all_space_reach_to_where_the_kernel_vanishes():
    for kernel, reach in zip(ON_ALL_SPACE, (12 * 0.02, 64 * 0.004), strict=True):
        weights = compatible_weights(kernel, 0.01)
        assert len(weights) == len(riemann_weights(kernel, 0.01)) == math.ceil(reach / 0.01)
        assert 0 < weights[-1] < np.finfo(float).eps ** 1.5 * weights[0]


@settings(max_examples=100)
@given(kernel=kernels(), resolution=resolutions)
def test_the_second_moment_is_exact(kernel, resolution):
    h = kernel.horizon / resolution
    weights = compatible_weights(kernel, h)
    assert np.all(weights >= 0)
    assert abs(second_moment_defect(weights, h)) <= tolerance("reduction", n=len(weights) + 16)


@settings(max_examples=50)
@given(delta=horizons, r=st.integers(1, 40))
def test_the_second_moment_of_the_wrong_twins(delta, r):
    h = delta / r
    flat = riemann_weights(TopHat(delta), h)
    for weights, defect in (
        (flat, 3 / (2 * r) + 1 / (2 * r**2)),
        (halved(flat), 1 / (2 * r**2)),
        (trap(delta, r), -(h**3) / (4 * delta**3)),
    ):
        bound = tolerance("reduction", n=r + 16, scale=1 + defect)
        assert abs(second_moment_defect(weights, h) - defect) <= bound
        assert abs(defect) > bound  # so that the law above fails for each of them


def test_factors_of_the_riemann_sum():
    factors = [1 + second_moment_defect(riemann_weights(TopHat(HORIZON), HORIZON / r), HORIZON / r) for r in (1, 2, 3)]
    assert_close(np.array(factors), np.array([3, 1.875, 14 / 9]), "reduction", n=8)


@pytest.mark.parametrize("kernel", [TopHat(HORIZON, scaled=False), Exponential(HORIZON, 0.1, scaled=False)], ids=repr)
def test_unscaled_kernels_keep_their_own_moment(kernel):
    weights, moment = compatible_weights(kernel, 0.03), kernel.moment(2)
    bound = tolerance("reduction", n=len(weights) + 16)
    assert abs(second_moment_defect(weights, 0.03, moment=moment)) <= bound
    assert abs(second_moment_defect(weights, 0.03)) > bound  # the control


def fourth_moment_excess(weights, h, kernel):
    """sum_j (jh)^4 w_j - int_0^delta s^4 rho ds, and its rounding."""
    terms = offsets(weights, h) ** 4 * weights
    excess = np.sum(terms) - 0.5 * kernel.moment(4)
    return excess, tolerance("reduction", n=len(weights) + 16, scale=np.sum(np.abs(terms)))


@settings(max_examples=100)
@given(kernel=kernels(), resolution=resolutions)
def test_the_fourth_moment_is_at_most_h_squared_too_large(kernel, resolution):
    h = kernel.horizon / resolution
    excess, rounding = fourth_moment_excess(compatible_weights(kernel, h), h, kernel)
    assert -rounding <= excess <= h**2 + rounding


@pytest.mark.parametrize("r", [2, 3, 10, 50])
def test_the_fourth_moment_of_the_top_hat(r):
    h, kernel = HORIZON / r, TopHat(HORIZON)
    excess, rounding = fourth_moment_excess(compatible_weights(kernel, h), h, kernel)
    assert abs(excess - h**2 / 2 * (1 - 1 / (5 * r**2))) <= rounding
    excess, rounding = fourth_moment_excess(riemann_weights(kernel, h), h, kernel)
    assert excess > h**2 + rounding  # the control


def symbol_gap(weights, h, kernel, k):
    """|L_h^(k) - L^(k)| over its bound h^2 k^4 / 12 with rounding."""
    exact, discrete = kernel.symbol(k), symbol(weights, h, k)
    rounding = tolerance("reduction", n=len(weights) + 32, scale=np.max(np.abs(exact)) + 4 * np.sum(np.abs(weights)))
    return np.max(np.abs(discrete - exact) / (h**2 * k**4 / 12 + rounding))


WAVES = np.geomspace(0.3, 300, 12)


@settings(max_examples=100)
@given(kernel=kernels(), resolution=resolutions)
def test_the_symbol_is_as_good_as_that_of_the_three_point_scheme_whatever_the_horizon(kernel, resolution):
    h = kernel.horizon / resolution
    assert symbol_gap(compatible_weights(kernel, h), h, kernel, WAVES) <= 1


@pytest.mark.parametrize("r", [1, 2, 3, 5])
def test_the_bound_of_the_symbol_refuses_the_riemann_sum_and_the_trap(r):
    kernel, h = TopHat(HORIZON), HORIZON / r
    assert symbol_gap(riemann_weights(kernel, h), h, kernel, WAVES) > 1
    assert symbol_gap(trap(HORIZON, r), h, kernel, WAVES) > 1


def test_orders_at_fixed_horizon():
    kernel, k = TopHat(HORIZON), np.array([5.0])
    steps = HORIZON / np.array([8, 16, 32, 64])

    def order(quadrature):
        return observed_order(steps, [abs(symbol(quadrature(kernel, h), h, k) - kernel.symbol(k))[0] for h in steps])

    assert round(order(compatible_weights).order, 1) == 2
    assert round(order(riemann_weights).local[-1], 1) == 1


@pytest.mark.parametrize("h", [0.05, 0.07, 0.3])
@pytest.mark.parametrize("kernel", [*FINITE, *ON_ALL_SPACE], ids=repr)
def test_riemann_weights_are_samples_of_the_kernel(kernel, h):
    weights = riemann_weights(kernel, h)
    assert len(weights) == len(compatible_weights(kernel, h))
    assert np.array_equal(weights, kernel.profile(offsets(weights, h)) * h)
