"""The Kreiss constant against closed forms, its theorem, and brute force."""

import math

import mpmath
import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st

from nlmodel.spectrum import (
    kreiss_constant,
    numerical_abscissa,
    numerical_radius,
    power_bound,
    pseudospectrum,
    spectral_radius,
    transient_peak,
)
from nlmodel.spectrum.kreiss import EPS, GAIN
from nlmodel.testing import tolerance


seeds = st.integers(0, 2**32 - 1)
STAGE = np.eye(2) - np.array([[0.5, 20.0], [0.0, 0.5]])


def jordan_kreiss(margin: float, coupling: float) -> float:
    """Kr of [[l, c], [0, l]] at distance `margin` inside the boundary: (q + 1/q) / 2 with q = |c| / (2 margin) >= 1.

    With a = |z - l| the resolvent norm is exp(asinh(|c| / (2a))) / a, largest outwards where depth = a - margin;
    y = |c| / (2a) turns the quotient into (1 - y/q) exp(asinh y), stationary at y = (q - 1/q) / 2.
    """
    q = abs(coupling) / (2 * margin)
    return (q + 1 / q) / 2 if q > 1 else 1.0


def evaluation_error(G: np.ndarray, exact: float, z: complex) -> float:
    """Relative error of sigma_min at z, and the level up to which the circles are searched."""
    sigma = float(np.linalg.svd(z * np.eye(len(G)) - G, compute_uv=False)[-1]) if np.isfinite(z) else 1.0
    cond = (abs(z) + float(np.linalg.norm(G, 2))) / sigma if np.isfinite(z) else 1.0
    return exact * (GAIN - 1) + tolerance("solve", n=len(G), scale=exact, cond=cond)


def test_closed_form_by_fifty_digits() -> None:
    with mpmath.workdps(50):
        quotient = lambda x: x / (x + 0.5) * mpmath.exp(mpmath.asinh(10 / (x + mpmath.mpf("0.5"))))  # noqa: E731
        at = mpmath.findroot(lambda x: mpmath.diff(quotient, x), mpmath.mpf("0.5"))
        assert abs(quotient(at) - mpmath.mpf(401) / 40) < mpmath.mpf(10) ** -30
    assert jordan_kreiss(0.5, 20.0) == 401 / 40


def test_the_stage_with_transient_growth() -> None:
    found, peak = kreiss_constant(STAGE), transient_peak(STAGE)
    assert abs(found.value - 401 / 40) <= evaluation_error(STAGE, 401 / 40, found.argmax)
    assert abs(found.argmax - (1 / 2 + 400 / 399)) < 1e-5
    assert found.attained == "interior"
    assert abs(peak.value - 0.5 * math.exp(math.asinh(20.0))) <= tolerance("solve", n=2, scale=peak.value)
    assert (peak.at, power_bound(STAGE, 40)) == (1, peak.value)


@given(st.floats(0, 0.98), st.floats(0, 2 * math.pi), st.floats(0, 30))
def test_law_closed_form_of_a_jordan_block(radius: float, angle: float, coupling: float) -> None:
    value = radius * np.exp(1j * angle)
    G = np.array([[value, coupling], [0, value]])
    found, exact = kreiss_constant(G), jordan_kreiss(1 - abs(value), coupling)
    assert abs(found.value - exact) <= evaluation_error(G, exact, found.argmax)


@pytest.mark.parametrize(
    ("margin", "coupling", "height"), [(0.5, 20.0, 2.0), (3.0, 1.0, 2.0), (1e-3, 1.0, -2.0), (1e-9, 1e-6, 0.0)]
)
def test_closed_form_of_a_jordan_block_in_the_half_plane(margin: float, coupling: float, height: float) -> None:
    A = np.array([[-margin + height * 1j, coupling], [0, -margin + height * 1j]])
    found, exact = kreiss_constant(A, continuous=True), jordan_kreiss(margin, coupling)
    assert abs(found.value - exact) <= evaluation_error(A, exact, found.argmax)


def kreiss_matrix_theorem(constant: float, G: np.ndarray) -> None:
    peak, N = transient_peak(G), len(G)
    slack = tolerance("solve", n=N * peak.proof, scale=peak.value)
    if not constant <= peak.value + slack <= math.e * N * constant + 2 * slack:
        raise AssertionError("not Kr <= sup ||G^n|| <= e N Kr")


def random_stable(rng: np.random.Generator, N: int) -> np.ndarray:
    G = np.triu(rng.standard_normal((N, N)) * 10.0 ** rng.uniform(-1, 1), 1) + np.diag(rng.uniform(-0.9, 0.9, N))
    Q = np.linalg.qr(rng.standard_normal((N, N)))[0]
    return Q @ G @ Q.T


@given(seeds, st.integers(1, 4))
def test_law_kreiss_matrix_theorem_and_brute_force(seed: int, N: int) -> None:
    rng = np.random.default_rng(seed)
    G = random_stable(rng, N)
    found = kreiss_constant(G)
    kreiss_matrix_theorem(found.value, G)
    z = (1 + 10.0 ** rng.uniform(-3, 2, 200)) * np.exp(1j * rng.uniform(0, 2 * np.pi, 200))
    assert np.max((np.abs(z) - 1) / pseudospectrum(G, z)) <= found.value * GAIN**2
    if np.isfinite(found.argmax):
        at_argmax = (abs(found.argmax) - 1) / float(pseudospectrum(G, np.array(found.argmax)))
        assert found.value <= at_argmax
    assert (found.value == 1.0) == (numerical_radius(G) <= 1 + 1e-12)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda G: 1 / float(pseudospectrum(G, np.array(1.0 + 0j))), id="no factor |z| - 1"),
        pytest.param(lambda G: spectral_radius(G), id="spectral radius"),
        pytest.param(lambda G: float(np.linalg.norm(G, 2)) ** 2, id="norm squared"),
    ],
)
def test_twin_other_numbers_break_the_theorem(wrong) -> None:
    kreiss_matrix_theorem(kreiss_constant(STAGE).value, STAGE)
    with pytest.raises(AssertionError, match="not Kr"):
        kreiss_matrix_theorem(wrong(STAGE), STAGE)


def test_kreiss_matrix_theorem_in_the_half_plane(rng: np.random.Generator) -> None:
    for N in (2, 3, 4):
        A = random_stable(rng, N) - np.eye(N)
        constant = kreiss_constant(A, continuous=True).value
        step = scipy.linalg.expm(0.02 * A)
        peak = power_bound(step, 2000)
        growth = math.exp(0.02 * max(0.0, numerical_abscissa(A)))
        assert constant <= peak * growth * GAIN
        assert peak <= math.e * N * constant


def test_contractions_have_constant_one(rng: np.random.Generator) -> None:
    orthogonal = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    for G in (orthogonal, np.eye(3), np.zeros((2, 2)), np.array([[0.0, 2.0], [0.0, 0.0]]), np.array([[-1.0]])):
        found = kreiss_constant(G)
        assert (found.value, found.attained) == (1.0, "infinity")
    skew = orthogonal - orthogonal.T
    assert kreiss_constant(skew, continuous=True).value == 1.0


def test_whole_circles_above_the_level_are_not_missed() -> None:
    G = np.array([[0.0, 5.0], [0.0, 0.0]])
    found = kreiss_constant(G)
    assert abs(found.value - jordan_kreiss(1.0, 5.0)) <= evaluation_error(G, 1.45, found.argmax)


def test_the_best_of_several_peaks_wins() -> None:
    blocks = [(0.99j, 0.3), (0.5, 10.0), (-0.999, 0.05)]
    G = scipy.linalg.block_diag(*[np.array([[value, c], [0, value]]) for value, c in blocks])
    exact = max(jordan_kreiss(1 - abs(value), c) for value, c in blocks)
    found = kreiss_constant(G)
    assert abs(found.value - exact) <= evaluation_error(G, exact, found.argmax)
    assert abs(found.argmax + 1.001) < 1e-4


def test_the_best_of_several_peaks_wins_in_the_half_plane() -> None:
    blocks = [(-0.01 + 1j, 0.3), (-0.5, 10.0), (-0.001 - 3j, 0.05)]
    A = scipy.linalg.block_diag(*[np.array([[value, c], [0, value]]) for value, c in blocks])
    exact = max(jordan_kreiss(-value.real, c) for value, c in blocks)
    found = kreiss_constant(A, continuous=True)
    assert abs(found.value - exact) <= evaluation_error(A, exact, found.argmax)
    assert abs(found.argmax + 3j - 0.001) < 1e-4


def test_a_semisimple_eigenvalue_on_the_circle_gives_its_projector() -> None:
    G = np.array([[1.0, 10.0], [0.0, 0.3]])
    found = kreiss_constant(G)
    exact = math.hypot(1, 10 / 0.7)
    assert abs(found.value - exact) <= tolerance("solve", n=2, scale=exact, cond=exact)
    assert (found.argmax, found.attained) == (1.0, "boundary")
    generator = kreiss_constant(G - np.eye(2), continuous=True)
    assert abs(generator.value - exact) <= tolerance("solve", n=2, scale=exact, cond=exact)


def test_a_stochastic_matrix_is_bounded_by_its_measure(rng: np.random.Generator) -> None:
    omega = np.exp(rng.standard_normal((6, 6)))
    omega = omega + omega.T
    degree = np.sum(omega, axis=1)
    found = kreiss_constant(omega / degree[:, None])
    assert 1 < found.value <= math.sqrt(np.max(degree) / np.min(degree))
    double = scipy.linalg.block_diag(omega / degree[:, None], np.eye(2))
    assert abs(kreiss_constant(double).value - found.value) <= evaluation_error(double, found.value, found.argmax)


@pytest.mark.parametrize(
    ("G", "at"),
    [
        pytest.param(np.array([[1.0, 1.0], [0.0, 1.0]]), 1.0, id="defective"),
        pytest.param(np.array([[1j, 1e-3], [0.0, 1j]]), 1j, id="defective, complex"),
        pytest.param(np.array([[0.5, 0.0], [0.0, -1.1]]), -1.1, id="unstable"),
        pytest.param(np.array([[0.5, 0.0], [0.0, 1 + 1e-10]]), 1 + 1e-10, id="barely unstable"),
    ],
)
def test_unbounded_powers(G: np.ndarray, at: complex) -> None:
    found = kreiss_constant(G)
    assert (found.value, found.attained) == (math.inf, "unbounded")
    assert abs(found.argmax - at) < 1e-6
    assert kreiss_constant(G - at * np.eye(2), continuous=True).attained in ("unbounded", "infinity")


def test_a_hidden_jordan_block_is_still_unbounded(rng: np.random.Generator) -> None:
    S = np.eye(4) + 0.3 * rng.standard_normal((4, 4))
    J = np.diag([1.0, 1.0, 0.5, 0.2]) + np.diag([1.0, 0.0, 0.0], 1)
    assert kreiss_constant(S @ J @ np.linalg.inv(S)).value == math.inf
    semisimple = S @ np.diag([1.0, 1.0, 0.5, 0.2]) @ np.linalg.inv(S)
    assert kreiss_constant(semisimple).value < np.linalg.cond(S)


def test_close_to_the_boundary_the_value_stays_a_lower_bound() -> None:
    for margin in (1e-4, 1e-5, 1e-6):
        G = np.array([[1 - margin, 1.0], [0.0, 1 - margin]])
        found, exact = kreiss_constant(G).value, jordan_kreiss(margin, 1.0)
        assert (1 - 16 * EPS / margin**2) * exact <= found <= exact * (1 + EPS / margin)


def test_unitary_invariance_libraries_and_repr(rng: np.random.Generator) -> None:
    G = random_stable(rng, 4)
    Q = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    found, turned = kreiss_constant(G), kreiss_constant(torch.from_numpy(Q @ G @ Q.T))
    assert abs(found.value - turned.value) <= evaluation_error(G, found.value, found.argmax)
    assert kreiss_constant(G) == kreiss_constant(G)
    assert kreiss_constant(STAGE.astype(np.float32)).value == kreiss_constant(STAGE).value
    assert repr(kreiss_constant(np.eye(2))) == "KreissConstant(value=1.0, argmax=(inf+0j), attained='infinity')"


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e-8, 1e8, 1e150])
def test_the_half_plane_form_does_not_change_with_the_scale(scale):
    A = np.array([[-1.0, 30.0], [0.0, -2.0]])
    unit, found = kreiss_constant(A, continuous=True), kreiss_constant(scale * A, continuous=True)
    assert abs(found.value - unit.value) <= tolerance("solve", n=2, scale=unit.value, cond=(GAIN - 1) / EPS)
    assert abs(found.argmax / scale - unit.argmax) <= 1e-3 * abs(unit.argmax)
    assert kreiss_constant(scale * (A + 3 * np.eye(2)), continuous=True).value == math.inf
    if scale < 1e-5:  # control: the form for iterations does change
        assert kreiss_constant(scale * A).value == 1 < kreiss_constant(0.2 * A).value
