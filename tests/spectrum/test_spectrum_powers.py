"""Norms of powers: the largest of the first n, and of all with proof."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlmodel.errors import ConvergenceError, DomainError
from nlmodel.spectrum import power_bound, spectral_radius, transient_peak
from nlmodel.testing import tolerance


STAGE = np.array([[0.5, -20.0], [0.0, 0.5]])


def two_humps() -> np.ndarray:
    """Powers whose norms fall and then rise higher: 10, 5, 50, 0."""
    return np.diag([10.0, 0.5, 10.0], 1)


@given(st.floats(0.01, 0.95), st.floats(0, 50), st.integers(0, 30))
def test_law_closed_form_of_a_jordan_block(value: float, coupling: float, n: int) -> None:
    G = np.array([[value, coupling], [0.0, value]])
    exact = [1.0] + [value**k * math.exp(math.asinh(k * coupling / (2 * value))) for k in range(1, n + 1)]
    assert abs(power_bound(G, n) - max(exact)) <= tolerance("solve", n=2 * n + 2, scale=max(exact))


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_law_the_peak_dominates_every_power(seed: int, N: int) -> None:
    G = np.random.default_rng(seed).standard_normal((N, N))
    G *= 0.9 / spectral_radius(G)
    peak = transient_peak(G)
    assert power_bound(G, 2 * peak.proof) == peak.value
    assert float(np.linalg.norm(np.linalg.matrix_power(G, peak.proof), 2)) <= 1


def test_twin_the_first_fall_of_the_norm_is_not_the_peak() -> None:
    G = two_humps()
    norms = [float(np.linalg.norm(np.linalg.matrix_power(G, k), 2)) for k in range(8)]
    first_fall = next(norms[k] for k in range(1, 7) if norms[k + 1] < norms[k])
    peak = transient_peak(G)
    assert peak.value == max(norms)
    assert first_fall != peak.value


def test_stable_factors_with_an_unstable_product() -> None:
    A = np.array([[0.5, 3.0], [0.0, 0.5]])
    assert transient_peak(A).proof < 20
    assert spectral_radius(A) == 0.5
    assert abs(spectral_radius(A @ A.T) - (9.5 + math.sqrt(9.5**2 - 0.25)) / 2) <= tolerance("solve", n=2, scale=10)
    with pytest.raises(ConvergenceError, match="no power of G has norm <= 1"):
        transient_peak(A @ A.T)


def test_unbounded_and_neutral_powers() -> None:
    assert power_bound(np.array([[1e200]]), 5) == math.inf
    assert power_bound(np.array([[2.0]]), 0) == 1.0
    assert transient_peak(np.zeros((2, 2))) == transient_peak(np.eye(2))
    with pytest.raises(ConvergenceError, match=r"largest norm .* at power 50"):
        transient_peak(np.array([[1.0, 1.0], [0.0, 1.0]]), max_power=50)
    with pytest.raises(ConvergenceError):
        transient_peak(np.array([[1e200]]))
    with pytest.raises(DomainError, match="n must be at least 0"):
        power_bound(STAGE, -1)
    with pytest.raises(DomainError, match="max_power must be at least 1"):
        transient_peak(STAGE, max_power=0)
    assert repr(transient_peak(np.eye(1))) == "TransientPeak(value=1.0, at=0, proof=1)"
