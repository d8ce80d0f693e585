"""Fourier symbols against mpmath at 200 points each, and the way to the Laplacian."""

import dataclasses
import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlmodel.kernels import Exponential, InverseDistance, Power, TopHat, TruncatedGaussian, fractional
from nlmodel.kernels._lambda import one_minus_lambda
from nlmodel.testing import assert_close, observed_order, tolerance


DIMS = (1, 2, 3)
HORIZON = 0.7
BOUND = 8 * tolerance("elementwise")  # 32 eps


def spread(low, high, end=1.0):
    return np.concatenate([np.geomspace(low, high, 110), np.linspace(high / 100, high, 110)]) / end


def worst(actual, exact):
    """The largest relative error."""
    return max(float(abs(mp.mpf(float(a)) / e - 1)) for a, e in zip(actual, exact, strict=True))


def sphere_average(dim, z):
    return mp.hyp0f1(mp.mpf(dim) / 2, -(z**2) / 4)


CLOSED = [
    (TopHat(HORIZON, 1), lambda k, z: -6 / mp.mpf(HORIZON) ** 2 * (1 - mp.sin(z) / z)),
    (TopHat(HORIZON, 2), lambda k, z: -8 / mp.mpf(HORIZON) ** 2 * (1 - 2 * mp.besselj(1, z) / z)),
    (
        TopHat(HORIZON, 3),
        lambda k, z: -10 / mp.mpf(HORIZON) ** 2 * (1 - 3 * (mp.sin(z) - z * mp.cos(z)) / z**3),
    ),
    (InverseDistance(HORIZON, 1), lambda k, z: -4 / mp.mpf(HORIZON) ** 2 * (mp.euler + mp.log(z) - mp.ci(z))),
    (
        InverseDistance(HORIZON, 2),
        lambda k, z: -12 / mp.mpf(HORIZON) ** 2 * (1 - mp.hyp1f2(0.5, 1, 1.5, -(z**2) / 4)),
    ),
    (InverseDistance(HORIZON, 3), lambda k, z: -12 / mp.mpf(HORIZON) ** 2 * (1 - (2 * mp.sin(z / 2) / z) ** 2)),
    *(
        (TruncatedGaussian(math.inf, HORIZON, d), lambda k, z: 2 / mp.mpf(HORIZON) ** 2 * mp.expm1(-(z**2) / 2))
        for d in DIMS
    ),
    (Exponential(math.inf, HORIZON, 1), lambda k, z: -(k**2) / (1 + z**2)),
    (Exponential(math.inf, HORIZON, 2), lambda k, z: -2 / (3 * mp.mpf(HORIZON) ** 2) * (1 - (1 + z**2) ** -1.5)),
    (Exponential(math.inf, HORIZON, 3), lambda k, z: -1 / (2 * mp.mpf(HORIZON) ** 2) * (1 - (1 + z**2) ** -2)),
]


@pytest.mark.parametrize(("kernel", "formula"), CLOSED, ids=[repr(kernel) for kernel, _ in CLOSED])
def test_closed_forms_against_mpmath(kernel, formula):
    mp.mp.dps = 70
    k = spread(1e-8, 2e3, HORIZON)
    exact = [formula(mp.mpf(x), mp.mpf(x) * mp.mpf(HORIZON)) for x in k]
    assert worst(kernel.symbol(k), exact) <= BOUND


def test_the_textbook_form_of_the_top_hat_symbol_cancels():
    """The control: 1 - sin z / z in floating point fails the same bound."""
    mp.mp.dps = 70
    k = spread(1e-8, 2e3, HORIZON)
    z = k * HORIZON
    with np.errstate(invalid="ignore"):
        textbook = -6 / HORIZON**2 * (1 - np.sin(z) / z)
    exact = [CLOSED[0][1](mp.mpf(x), mp.mpf(x) * mp.mpf(HORIZON)) for x in k]
    assert worst(textbook, exact) > BOUND


def moments(kernel, count):
    """int_0^delta phi r^(d-1+2n) dr for n = 1..count; incomplete gamma functions by stable downward recurrence."""
    d, end = kernel.dim, mp.mpf(kernel.horizon)
    if isinstance(kernel, Power):
        return [
            end ** (d + 2 * n - mp.mpf(kernel.exponent)) / (d + 2 * n - mp.mpf(kernel.exponent))
            for n in range(1, count + 1)
        ]
    s = mp.mpf(kernel.scale)
    gaussian = isinstance(kernel, TruncatedGaussian)
    x, step = (end**2 / (2 * s**2), 1) if gaussian else (end / s, 2)
    a = mp.mpf(d) / 2 + count if gaussian else mp.mpf(d) + 2 * count
    gamma, decay, values = mp.gammainc(a, 0, x), mp.exp(-x), []
    for _ in range(count):
        values.append(gamma * ((2 * s**2) ** a / 2 if gaussian else s**a))
        for _ in range(step):
            a -= 1
            gamma = (gamma + x**a * decay) / a
    return values[::-1]


def symbols(kernel, k, highest):
    """-c sum_n (-1)^(n+1) (k/2)^(2n) / (n! (d/2)_n) int phi r^(d-1+2n), with digits for the cancellation."""
    mp.mp.dps = 60 + int(highest / math.log(10))
    count = int(1.4 * highest) + 50
    integrals = moments(kernel, count)
    coefficients, factor = [], mp.mpf(1)
    for n, integral in enumerate(integrals, start=1):
        factor *= -1 / (4 * n * (mp.mpf(kernel.dim) / 2 + n - 1))
        coefficients.append(2 * kernel.dim * factor * integral / integrals[0])
    values = []
    for x in k:
        u, total = mp.mpf(x) ** 2, mp.mpf(0)
        for c in reversed(coefficients[: int(1.4 * x * kernel.horizon) + 50]):
            total = (total + c) * u
        values.append(total)
    return values


QUADRATURE = [
    *(TruncatedGaussian(HORIZON, s, d) for d in DIMS for s in (0.05, 0.4)),
    *(Exponential(HORIZON, s, d) for d in DIMS for s in (0.02, 1.5)),
    *(fractional(HORIZON, s, d) for d in DIMS for s in (0.05, 0.5, 0.95)),
    *(Power(HORIZON, p, 1) for p in (-1.5, 0.3)),
]


@pytest.mark.parametrize("kernel", QUADRATURE, ids=repr)
def test_quadrature_against_mpmath(kernel):
    k = spread(1e-8, 60, HORIZON)
    assert worst(kernel.symbol(k), symbols(kernel, k, 60)) <= BOUND


@pytest.mark.parametrize(
    "kernel", [Exponential(HORIZON, 0.1), TruncatedGaussian(HORIZON, 0.1, 2), fractional(HORIZON, 0.3, 3)], ids=repr
)
def test_quadrature_at_high_wave_numbers(kernel):
    k = np.array([250.0, 300.0]) / HORIZON
    assert worst(kernel.symbol(k), symbols(kernel, k, 300)) <= BOUND


def test_truncated_exponential_against_its_elementary_form():
    """In one dimension int_0^a e^-t (1 - cos zt) dt is elementary; at high wave numbers it does not cancel."""
    kernel, s = Exponential(HORIZON, 0.2), 0.2
    k = np.linspace(50, 5000, 100)
    a, z = HORIZON / s, k * s
    plain = -math.expm1(-a)
    wave = (1 - math.exp(-a) * (np.cos(a * z) - z * np.sin(a * z))) / (1 + z**2)
    closed = -2 * kernel.constant * s * (plain - wave)
    assert_close(kernel.symbol(k), closed, "reduction", n=64)


@pytest.mark.parametrize("dim", [2, 3, 4, 5])
def test_one_minus_lambda(dim):
    mp.mp.dps = 70
    z = np.concatenate([spread(1e-8, 100), np.linspace(1.9, 2.1, 21)])
    assert worst(one_minus_lambda(z, dim), [1 - sphere_average(dim, mp.mpf(x)) for x in z]) <= BOUND / 4
    assert one_minus_lambda(np.zeros(1), dim)[0] == 0


def test_one_minus_cosine():
    z = spread(1e-8, 3.0)
    mp.mp.dps = 70
    assert worst(one_minus_lambda(z, 1), [1 - mp.cos(mp.mpf(x)) for x in z]) <= BOUND / 8


KERNELS = [
    kernel(d)
    for d in DIMS
    for kernel in (
        lambda d: TopHat(1.0, d),
        lambda d: InverseDistance(1.0, d),
        lambda d: fractional(1.0, 0.4, d),
        lambda d: TruncatedGaussian(1.0, 0.5, d),
        lambda d: Exponential(1.0, 0.5, d),
        lambda d: TruncatedGaussian(math.inf, 0.5, d),
        lambda d: Exponential(math.inf, 0.2, d),
    )
]


def check_taylor(kernel, k, fourth):
    """|L^ + k^2 - fourth k^4| <= M_6 k^6 / (48 d (d+2) (d+4)): the Taylor series of Lambda_d alternates."""
    d = kernel.dim
    symbol = kernel.symbol(k)
    sixth = kernel.moment(6) * k**6 / (48 * d * (d + 2) * (d + 4))
    assert np.all(np.abs(symbol + k**2 - fourth * k**4) <= sixth + BOUND * (k**2 + fourth * k**4))


@given(exponent=st.floats(-6, 2), dim=st.sampled_from(DIMS))
def test_symbols_expand_in_moments(exponent, dim):
    k = np.array([10.0**exponent])
    for kernel in KERNELS[7 * dim - 7 : 7 * dim]:
        check_taylor(kernel, k, kernel.moment(4) / (8 * kernel.dim * (kernel.dim + 2)))


def test_leading_error_of_the_top_hat():
    """L^ = -k^2 + delta^2 k^4 / (4 (d+4)): 1/20, 1/24, 1/28."""
    k = np.linspace(0.01, 1.0, 50)
    for dim, denominator in zip(DIMS, (20, 24, 28), strict=True):
        check_taylor(TopHat(0.5, dim), k, 0.5**2 / denominator)
        with pytest.raises(AssertionError):
            check_taylor(TopHat(0.5, dim), k, 0.5**2 / (denominator + 4))


@pytest.mark.parametrize("kernel", KERNELS[::7] + KERNELS[1::7] + KERNELS[2::7], ids=repr)
def test_the_local_limit_has_order_two(kernel):
    deltas = [0.4, 0.2, 0.1, 0.05]
    scaled = [dataclasses.replace(kernel, horizon=delta) for delta in deltas]
    errors = [float(abs(1 + member.symbol(1.0))) for member in scaled]
    order = observed_order(deltas, errors)
    assert abs(order.order - 2) < 0.1
    assert all(abs(local - 2) < 0.1 for local in order.local)


@given(k=st.just(0.0) | st.floats(1e-100, 1e3), dim=st.sampled_from(DIMS))
def test_symbols_are_dissipative_and_bounded(k, dim):
    """-k^2 <= L^ <= 0, and |L^| <= 2 sigma where sigma is finite."""
    for kernel in KERNELS[7 * dim - 7 : 7 * dim]:
        value = float(kernel.symbol(k))
        assert -(k**2) * (1 + BOUND) <= value <= 0
        assert -value <= 2 * kernel.moment(0) * (1 + BOUND)


def test_the_minimum_of_the_top_hat_symbol():
    """max |L^| = 6 * 1.2172336 / delta^2 at k delta = 4.4934: the mesh-independent bound of the backward flow."""
    mp.mp.dps = 50
    z = mp.findroot(lambda t: mp.tan(t) - t, 4.4934)
    peak = -6 * (1 - mp.sin(z) / z)
    k = np.linspace(0, 200, 2001)
    assert np.min(TopHat(1.0).symbol(k)) >= float(peak) * (1 + BOUND)
    assert_close(TopHat(1.0).symbol(np.array([float(z)])), np.array([float(peak)]), "elementwise")


def test_exact_lattice_symbol_of_the_exponential():
    """Weight h and infinitely many nodes: (h/2) sinh h / (cosh h - cos kh) - 1 + (1 - (h/2) coth(h/2))."""
    h = 0.5
    k = np.linspace(0.1, math.pi / h, 20)
    j = np.arange(1, 120)
    rho = Exponential(math.inf, 1.0).profile(j * h) * h
    summed = -2 * np.sum(rho * (1 - np.cos(k[:, None] * j * h)), axis=1)
    half = h / 2
    closed = half * math.sinh(h) / (math.cosh(h) - np.cos(k * h)) - half / math.tanh(half)
    assert_close(summed, closed, "reduction", n=120)


def test_shapes_and_zero():
    kernel = TruncatedGaussian(1.0, 0.5, 2)
    k = np.array([[0.0, 1.0, 2.0], [30.0, 400.0, 0.5]])
    values = kernel.symbol(k)
    assert values.shape == k.shape and values[0, 0] == 0
    assert_close(values[1], kernel.symbol(k[1]), "exact")
    assert kernel.symbol(2.0) == values[0, 2]
