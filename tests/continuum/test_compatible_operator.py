"""Weights as operators on a grid: polynomials, waves, boundaries, images, and the Riemann sum of `on_grid`."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlmodel import NonlocalOperator
from nlmodel.continuum import compatible_operator, compatible_weights, riemann_weights, stencil_operator
from nlmodel.kernels import TopHat
from nlmodel.testing import adjoint_gap, assert_close, conservation_gap, tolerance
from tests.continuum.continuum_cases import FINITE, HORIZON, kernels, resolutions, symbol


def by_hand(weights, n, boundary):
    """L from its definition, pair by pair, with every image."""
    L = np.zeros((n, n))
    for i in range(n):
        for j, w in enumerate(weights, start=1):
            for k in (i - j, i + j):
                if boundary == "periodic" or 0 <= k < n:
                    L[i, k % n] += w
                    L[i, i] -= w
    return L


@pytest.mark.parametrize("boundary", ["periodic", "free"])
@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 30])  # the horizon has 4 cells: images from n = 8 down
@pytest.mark.parametrize("kernel", FINITE[:4], ids=repr)
def test_entries(kernel, n, boundary):
    weights = compatible_weights(kernel, 0.05)
    op = compatible_operator(n, kernel, 0.05, boundary=boundary)
    assert op.storage == "sparse" and op.normalize == "none" and op.reversible and op.nonnegative
    assert_close(op.to_dense(), by_hand(weights, n, boundary), "reduction", n=16, scale=4 * np.sum(weights))
    assert_close(op.measure, np.full(n, 0.05))


@settings(max_examples=60)
@given(kernel=kernels(), resolution=st.floats(0.3, 12.0), boundary=st.sampled_from(["periodic", "free"]))
def test_laws(kernel, resolution, boundary):
    rng = np.random.default_rng(7)
    op = compatible_operator(20, kernel, kernel.horizon / resolution, boundary=boundary)
    Z, size = rng.standard_normal((20, 2)), 2 * float(np.max(op.exit_rate))
    rounding = tolerance("reduction", n=32)
    assert np.max(np.abs(op @ np.ones(20))) <= rounding * size
    assert conservation_gap(op, Z) <= rounding
    assert adjoint_gap(op, rng=rng) <= rounding * size
    assert op.energy(Z[:, 0]) >= 0
    assert np.max(np.abs(op.average(np.ones(20)))) > rounding * size  # the control: K alone moves constants


def polynomial_gap(op, reach, h, power, expected):
    """|L x^p - expected| over its rounding, at grid points whose neighbourhood lies in the grid."""
    n = op.size
    x = h * (np.arange(n) - n // 2)
    inside = slice(reach, n - reach)
    rounding = tolerance("reduction", n=2 * reach + 16, scale=2 * np.max(op.exit_rate) * np.max(np.abs(x)) ** power)
    return np.max(np.abs((op @ x**power)[inside] - expected(x[inside]))) / rounding


@settings(max_examples=60)
@given(kernel=kernels(), resolution=st.floats(0.3, 12.0))
def test_cubic_polynomials_are_exact(kernel, resolution):
    h = kernel.horizon / resolution
    op = compatible_operator(32, kernel, h, boundary="free")
    for power, expected in enumerate((lambda x: 0 * x, lambda x: 0 * x, lambda x: 2 + 0 * x, lambda x: 6 * x)):
        assert polynomial_gap(op, 12, h, power, expected) <= 1


@pytest.mark.parametrize("r", [1, 2, 4, 8])
def test_polynomials_under_the_top_hat(r):
    h = HORIZON / r
    op = compatible_operator(40, TopHat(HORIZON), h, boundary="free")
    riemann = stencil_operator(riemann_weights(TopHat(HORIZON), h), 40, h, boundary="free")
    factor = 1 + 3 / (2 * r) + 1 / (2 * r**2)
    error = h**2 * (1 - 1 / (5 * r**2))
    assert polynomial_gap(op, r, h, 4, lambda x: 12 * x**2 + 6 * HORIZON**2 / 5 + error) <= 1
    assert polynomial_gap(riemann, r, h, 2, lambda x: 2 * factor + 0 * x) <= 1
    assert polynomial_gap(riemann, r, h, 2, lambda x: 2 + 0 * x) > 1  # the control


@settings(max_examples=60)
@given(kernel=kernels(), resolution=resolutions, mode=st.integers(0, 24))
def test_waves_on_the_ring(kernel, resolution, mode):
    n, h = 24, kernel.horizon / resolution
    op = compatible_operator(n, kernel, h)
    weights = compatible_weights(kernel, h)
    k = 2 * np.pi * mode / (n * h)
    wave = np.cos(k * h * np.arange(n) + 0.3)
    rounding = tolerance("reduction", n=2 * len(weights) + 64, scale=4 * np.sum(weights) * (1 + k * h * len(weights)))
    assert np.max(np.abs(op @ wave - symbol(weights, h, np.array([k])) * wave)) <= rounding


@pytest.mark.parametrize("boundary", ["periodic", "free"])
@pytest.mark.parametrize("n", [5, 9, 40])
@pytest.mark.parametrize("h", [0.05, 0.07])
def test_riemann_weights_give_the_operator_on_a_grid(boundary, n, h):
    kernel = TopHat(HORIZON)
    weights = riemann_weights(kernel, h)
    expected = NonlocalOperator.on_grid(n, kernel, h, boundary=boundary).to_dense()
    scale = 4 * float(np.sum(weights))
    assert_close(stencil_operator(weights, n, h, boundary=boundary).to_dense(), expected, "reduction", n=n, scale=scale)
    with pytest.raises(AssertionError):  # the control
        other = compatible_operator(n, kernel, h, boundary=boundary).to_dense()
        assert_close(other, expected, "reduction", n=n, scale=scale)


def test_single_precision_stays():
    weights = compatible_weights(TopHat(HORIZON), 0.05).astype(np.float32)
    for boundary in ("periodic", "free"):
        op = stencil_operator(weights, 12, 0.05, boundary=boundary)
        assert op.dtype == np.float32 and (op @ np.ones(12, np.float32)).dtype == np.float32


def test_a_horizon_beyond_the_grid_costs_no_more_than_the_grid():
    op = compatible_operator(5, TopHat(500.0), 0.1)
    assert op.averaging.matrix.nnz <= 25
    assert compatible_operator(5, TopHat(500.0), 0.1, boundary="free").averaging.matrix.nnz == 20
