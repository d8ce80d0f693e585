"""Spatial kernels: constants, the closed horizon, moments, exact action on polynomials, declared laws."""

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import gamma, gammainc

from nlmodel.errors import DomainError
from nlmodel.kernels import (
    Declared,
    Exponential,
    InverseDistance,
    Power,
    RadialKernel,
    TopHat,
    TruncatedGaussian,
    fractional,
)
from nlmodel.kernels._gamma import exponential_integral
from nlmodel.testing import assert_close, tolerance


DIMS = (1, 2, 3)
HORIZON = 0.7
INTEGRABLE = [
    *(TopHat(HORIZON, d) for d in DIMS),
    *(TruncatedGaussian(HORIZON, 0.3, d) for d in DIMS),
    *(TruncatedGaussian(HORIZON, 0.02, d) for d in DIMS),
    *(Exponential(HORIZON, 0.3, d) for d in DIMS),
    *(Exponential(HORIZON, 5.0, d) for d in DIMS),
    *(Exponential(HORIZON, 0.01, d) for d in DIMS),
]
SINGULAR = [
    *(InverseDistance(HORIZON, d) for d in DIMS),
    *(Power(HORIZON, 0.5, d) for d in DIMS),
    *(Power(HORIZON, d + 1.9, d) for d in DIMS),
    *(fractional(HORIZON, 0.5, d) for d in DIMS),
    *(Power(HORIZON, -1.0, d) for d in DIMS),
]
UNBOUNDED = [kernel(math.inf, 0.3, d) for kernel in (TruncatedGaussian, Exponential) for d in DIMS]
ALL = INTEGRABLE + SINGULAR + UNBOUNDED


def phi(kernel, r):
    """The unscaled profile in mpmath."""
    r = mp.mpf(r)
    if isinstance(kernel, TopHat):
        return mp.mpf(1)
    if isinstance(kernel, TruncatedGaussian):
        return mp.exp(-(r**2) / (2 * mp.mpf(kernel.scale) ** 2))
    if isinstance(kernel, Exponential):
        return mp.exp(-r / mp.mpf(kernel.scale))
    return r ** -mp.mpf(1 if isinstance(kernel, InverseDistance) else kernel.exponent)


def radial_integral(kernel, q):
    """int_0^horizon phi r^(q-1) dr in mpmath."""
    q, end = mp.mpf(q), mp.mpf(kernel.horizon)
    if isinstance(kernel, TruncatedGaussian):
        s = mp.sqrt(2) * mp.mpf(kernel.scale)
        return s**q * mp.gammainc(q / 2, 0, (end / s) ** 2) / 2
    if isinstance(kernel, Exponential):
        return mp.mpf(kernel.scale) ** q * mp.gammainc(q, 0, end / mp.mpf(kernel.scale))
    p = mp.mpf(0 if isinstance(kernel, TopHat) else 1 if isinstance(kernel, InverseDistance) else kernel.exponent)
    return end ** (q - p) / (q - p) if q > p else mp.inf


def sphere(dim):
    return 2 * mp.pi ** (mp.mpf(dim) / 2) / mp.gamma(mp.mpf(dim) / 2)


def constant(kernel):
    return 2 * kernel.dim / (sphere(kernel.dim) * radial_integral(kernel, kernel.dim + 2))


@pytest.mark.parametrize("delta", [1e-3, 0.2, 1.0, 50.0])
def test_constants_of_the_literature(delta):
    table = [
        (TopHat, (3 / delta**3, 8 / (math.pi * delta**4), 15 / (2 * math.pi * delta**5))),
        (InverseDistance, (2 / delta**2, 6 / (math.pi * delta**3), 6 / (math.pi * delta**4))),
    ]
    for kind, constants in table:
        for dim, c in zip(DIMS, constants, strict=True):
            r = np.array([0.5 * delta])
            expected = c / r if kind is InverseDistance else np.array([c])
            assert_close(kind(delta, dim).profile(r), expected)
    fractional_1d = (2 - 2 * 0.75) / delta ** (2 - 2 * 0.75)
    assert_close(fractional(delta, 0.75).profile(np.array([delta])), np.array([fractional_1d * delta**-2.5]))
    s = 0.4 * delta
    second = 2 * (
        s**3 * math.sqrt(math.pi / 2) * math.erf(delta / (s * math.sqrt(2)))
        - s**2 * delta * math.exp(-(delta**2) / (2 * s**2))
    )
    assert_close(np.array([TruncatedGaussian(delta, s).constant]), np.array([2 / second]), "elementwise")
    assert_close(np.array([TruncatedGaussian(math.inf, s).moment(0)]), np.array([2 / s**2]))
    assert_close(np.array([Exponential(math.inf, 1.0).constant]), np.array([0.5]))


@pytest.mark.parametrize("kernel", ALL, ids=repr)
def test_profile_and_moments_against_mpmath(kernel):
    mp.mp.dps = 50
    end = min(kernel.horizon, 10.0)
    r = np.concatenate([np.geomspace(1e-6, 1, 20) * end, np.linspace(0.03, 1, 20) * end])
    r = np.minimum(r, end)
    c = constant(kernel)
    for actual, x in zip(kernel.profile(r), r, strict=True):
        shape = phi(kernel, x)
        error = abs(mp.mpf(float(actual)) / (c * shape) - 1)
        assert error <= 2 * tolerance("elementwise") * (1 + abs(mp.log(shape))) or c * shape < 1e-300
    for order in (0, 0.5, 1, 2, 3, 4, 6, 7.5):
        exact = c * sphere(kernel.dim) * radial_integral(kernel, kernel.dim + order)
        if mp.isinf(exact):
            assert kernel.moment(order) == math.inf
        else:
            assert abs(mp.mpf(kernel.moment(order)) / exact - 1) <= 2 * tolerance("elementwise")


def worst_gamma(function):
    """The largest relative error of int_0^x e^-r r^(q-1) dr over a grid that straddles the switch x = q + 30."""
    mp.mp.dps = 50
    return max(
        float(abs(mp.mpf(function(q, x)) / mp.gammainc(q, 0, mp.mpf(x)) - 1))
        for q in (0.5, 1.0, 1.5, 2.0, 3.5, 5.0, 8.0)
        for x in [*np.geomspace(1e-8, 200, 30), q + 29.9, q + 30.1]
    )


def test_incomplete_gamma_function():
    assert worst_gamma(lambda q, x: exponential_integral(q, x, 1.0)) <= 2 * tolerance("elementwise")
    assert worst_gamma(lambda q, x: gamma(q) * gammainc(q, x)) > 2 * tolerance("elementwise")  # the control


@pytest.mark.parametrize("delta", [1e-3, 0.37, 1.0, 1e3])
@pytest.mark.parametrize("dim", DIMS)
def test_second_moment_is_that_of_the_laplacian(delta, dim):
    for kernel in (
        TopHat(delta, dim),
        *(TruncatedGaussian(delta, ratio * delta, dim) for ratio in (0.01, 0.3, 100.0)),
        *(Exponential(delta, ratio * delta, dim) for ratio in (0.01, 0.3, 100.0)),
        InverseDistance(delta, dim),
        *(fractional(delta, order, dim) for order in (0.01, 0.5, 0.99)),
        Exponential(math.inf, delta, dim),
    ):
        assert_close(np.array([kernel.moment(2)]), np.array([2.0 * dim]))
    with pytest.raises(AssertionError):
        assert_close(np.array([TopHat(delta + 1.0, dim, scaled=False).moment(2)]), np.array([2.0 * dim]))


def nodes(count=40):
    x, w = np.polynomial.legendre.leggauss(count)
    return (x + 1) / 2, w / 2


@pytest.mark.parametrize("kernel", [k for k in INTEGRABLE if getattr(k, "scale", 1) > 0.1], ids=repr)
def test_moments_are_integrals_of_the_profile(kernel):
    t, w = nodes()
    r = kernel.horizon * t
    for order in (0, 2, 4):
        quadrature = np.sum(w * kernel.profile(r) * r ** (kernel.dim - 1 + order)) * kernel.horizon
        expected = np.array([kernel.moment(order)])
        assert_close(np.array([kernel.sphere * quadrature]), expected, "reduction", n=40)
        with pytest.raises(AssertionError):
            assert_close(np.array([quadrature / kernel.sphere]), expected, "reduction", n=40)


@given(delta=st.floats(0.05, 2), x=st.floats(-2, 2))
def test_top_hat_on_polynomials_is_exact(delta, x):
    """L x^2 = 2, L x^4 = 12 x^2 + 6 delta^2/5, L x^6 = 30 x^4 + 18 delta^2 x^2 + 6 delta^4/7."""
    kernel = TopHat(delta)
    t, w = nodes(8)
    y = x + delta * (2 * t - 1)
    omega = kernel(np.array([[x]]), y[:, None])[0] * 2 * delta * w
    exact = {
        2: 2.0,
        4: 12 * x**2 + 6 * delta**2 / 5,
        6: 30 * x**4 + 18 * delta**2 * x**2 + 6 * delta**4 / 7,
    }
    for power, value in exact.items():
        applied = np.array([np.sum(omega * (y**power - x**power))])
        size = np.sum(omega) * (abs(x) + delta) ** power
        assert_close(applied, np.array([value]), "reduction", n=8, scale=size)
    assert_close(np.array([kernel.moment(4)]), np.array([6 * delta**2 / 5]))
    assert_close(np.array([kernel.moment(6)]), np.array([6 * delta**4 / 7]))


def test_taylor_series_of_moments_is_exact_on_polynomials():
    """L u = sum_k M_2k / (2k)! u^(2k) for every even kernel in one dimension."""
    x = 0.3
    t, w = nodes()
    for kernel in (TruncatedGaussian(0.5, 0.2), Exponential(0.5, 0.3), TopHat(0.5)):
        # both halves of the ball: the exponential has a kink in the middle
        omega = kernel.profile(0.5 * t) * 0.5 * w
        applied = np.sum(omega * ((x + 0.5 * t) ** 6 + (x - 0.5 * t) ** 6 - 2 * x**6))
        series = 15 * x**4 * kernel.moment(2) + 15 * x**2 * kernel.moment(4) + kernel.moment(6)
        assert_close(np.array([applied]), np.array([series]), "reduction", n=40)
        with pytest.raises(AssertionError):
            assert_close(np.array([applied]), np.array([series - kernel.moment(6)]), "reduction", n=40)


@pytest.mark.parametrize("cells", [50, 100, 400, 1000])
@pytest.mark.parametrize("reach", [2, 3, 7])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_pairs_at_the_horizon_are_decided_alike(cells, reach, dtype):
    x = (np.arange(cells) / cells).astype(dtype)[:, None]
    kernel = TopHat(reach / cells)
    inside = kernel(x) > 0
    i = np.arange(cells)
    assert np.array_equal(inside, np.abs(i[:, None] - i) <= reach)
    bare = np.abs(x - x.T) <= dtype(kernel.horizon)
    assert len({bool(v) for v in np.diagonal(bare, reach)}) == 2  # the control: without slack some are lost


def test_the_slack_is_no_wider_than_stated():
    for dtype in (np.float64, np.float32):
        kernel = TopHat(1.0)
        r = np.array([1, 1 + 1000 * np.finfo(dtype).eps, 1 + 1030 * np.finfo(dtype).eps], dtype=dtype)
        assert list(kernel.profile(r) > 0) == [True, True, False]
        assert kernel.reach(r) == 1 + 1024 * float(np.finfo(dtype).eps)


def test_the_pair_at_distance_zero():
    zero = np.array([0.0])
    for kernel in SINGULAR:
        assert kernel.vanishes_at_zero and kernel.profile(zero)[0] == 0.0
    for kernel in INTEGRABLE + UNBOUNDED:
        assert not kernel.vanishes_at_zero and kernel.profile(zero)[0] == kernel.constant


def gram_eigenvalue(kernel, distances):
    x = np.zeros((len(distances), kernel.dim))
    x[:, 0] = distances
    return float(np.linalg.eigvalsh(kernel(x))[0])


@pytest.mark.parametrize("kernel", [k for k in ALL if getattr(k, "scale", 1) > 0.1], ids=repr)
def test_truncated_kernels_are_refuted_by_three_points(kernel):
    assert kernel.symmetric is True and kernel.nonnegative is True
    delta = min(kernel.horizon, HORIZON)
    eta = delta * 1e-3
    witness = gram_eigenvalue(kernel, [0.0, delta, delta + eta])
    bound = tolerance("reduction", n=9, scale=float(kernel.profile(np.array([eta]))[0]))
    if math.isinf(kernel.horizon):
        assert kernel.strictly_positive_definite is True
        assert witness > bound
    else:
        assert kernel.positive_definite is False
        assert witness < -bound


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 6), dim=st.sampled_from(DIMS))
def test_laws_of_spatial_kernels(seed, count, dim):
    x = np.random.default_rng(seed).integers(-4, 5, (count, dim)) / 8.0
    for kernel in ALL[dim - 1 :: 3]:
        rho = kernel.evaluate(x, x)
        assert kernel.dim == dim
        assert np.array_equal(rho, rho.T)
        assert np.all(rho >= 0)
        if kernel.positive_definite:
            assert np.linalg.eigvalsh(rho)[0] >= -tolerance("reduction", n=count, scale=count * kernel.constant)


def test_special_cases_of_the_power():
    r = np.linspace(0.01, 1.0, 50)
    k = np.linspace(0, 100, 50)
    for dim in DIMS:
        for special, exponent in ((TopHat(0.8, dim), 0.0), (InverseDistance(0.8, dim), 1.0)):
            power = Power(0.8, exponent, dim)
            assert_close(power.profile(r), special.profile(r), "reduction", n=2)
            assert_close(power.symbol(k), special.symbol(k), "reduction", n=8)
        assert fractional(0.8, 0.25, dim) == Power(0.8, dim + 0.5, dim)
    with pytest.raises(AssertionError):
        assert_close(Power(0.8, 0.1, 2).profile(r), TopHat(0.8, 2).profile(r), "reduction", n=2)


def test_scales_that_no_float_can_hold():
    for kernel in (TopHat(1e-150, 3), TopHat(1e200, 3), TruncatedGaussian(math.inf, 1e200)):
        with pytest.raises(DomainError, match="second moment"):
            kernel.profile(np.array([1.0]))
    assert TopHat(1e200, 3, scaled=False).profile(np.array([1.0]))[0] == 1.0
    assert TopHat(1.0).moment(1e6) < 1e-5 and TopHat(10.0).moment(1e6) == math.inf


class Wendland(RadialKernel):
    """A user's own kernel, (1 - r/delta)_+^2 in one dimension: continuous, positive definite."""

    horizon, dim, scaled = 0.5, 1, True

    def unscaled(self, square):
        return (1 - np.sqrt(square) / self.horizon) ** 2

    def radial_integral(self, q):
        return self.horizon**q * 2 / (q * (q + 1) * (q + 2))


def test_a_kernel_of_ones_own_needs_two_definitions():
    kernel = Wendland()
    assert kernel.declared == Declared(symmetric=True)
    assert_close(np.array([kernel.moment(2)]), np.array([2.0]))
    k = np.linspace(1, 60, 40)
    z = 0.5 * k
    closed = -kernel.constant * 2 * 0.5 * (1 / 3 - 2 / z**2 * (1 - np.sin(z) / z))
    assert_close(kernel.symbol(k), closed, "reduction", n=8)
