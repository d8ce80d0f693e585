"""The numerical range: convex, around the eigenvalues, an ellipse for two by two."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlmodel.spectrum import numerical_abscissa, numerical_radius, numerical_range, support_function
from nlmodel.testing import tolerance


seeds = st.integers(0, 2**32 - 1)
ANGLES = np.linspace(0, 2 * np.pi, 12, endpoint=False)


def inside(A: np.ndarray, z: np.ndarray, support: np.ndarray) -> None:
    slack = tolerance("solve", n=len(A), scale=float(np.linalg.norm(A, 2)))
    excess = np.max(np.real(np.exp(-1j * ANGLES)[:, None] * z[None]) - support[:, None])
    if excess > slack:
        raise AssertionError(f"outside by {excess}")


@given(seeds, st.integers(1, 5))
def test_law_the_range_contains_eigenvalues_and_its_boundary(seed: int, N: int) -> None:
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((N, N)) + 1j * rng.standard_normal((N, N)) * rng.integers(2)
    support, boundary = support_function(A, ANGLES), numerical_range(A, len(ANGLES))
    slack = tolerance("solve", n=N, scale=float(np.linalg.norm(A, 2)))
    inside(A, np.linalg.eigvals(A), support)
    inside(A, boundary, support)
    assert np.max(np.abs(np.real(np.exp(-1j * ANGLES) * boundary) - support)) <= slack
    assert abs(support[0] - numerical_abscissa(A)) <= slack
    w, norm = numerical_radius(A), float(np.linalg.norm(A, 2))
    assert np.max(support) - slack <= w
    assert norm / 2 - slack <= w <= norm + slack


def test_twin_the_hull_of_the_eigenvalues_does_not_contain_the_range(rng: np.random.Generator) -> None:
    A = rng.standard_normal((5, 5))
    hull = np.max(np.real(np.exp(-1j * ANGLES)[:, None] * np.linalg.eigvals(A)[None]), axis=1)
    inside(A, np.linalg.eigvals(A), hull)
    with pytest.raises(AssertionError, match="outside by"):
        inside(A, numerical_range(A), hull)


def focal_distance_sums(A: np.ndarray) -> np.ndarray:
    first, second = np.linalg.eigvals(A)
    z = numerical_range(A, 7)
    return np.abs(z - first) + np.abs(z - second)


@given(seeds)
def test_law_elliptical_range_theorem(seed: int) -> None:
    rng = np.random.default_rng(seed)
    A = np.triu(rng.standard_normal((2, 2)) + 1j * rng.standard_normal((2, 2)))
    minor = abs(A[0, 1])
    major = np.hypot(minor, abs(A[0, 0] - A[1, 1]))
    assert np.max(np.abs(focal_distance_sums(A) - major)) <= tolerance("solve", n=2, scale=np.linalg.norm(A))


def test_twin_half_the_minor_axis_is_another_ellipse() -> None:
    A = np.array([[0.0, 1.0], [0.0, 1.0]])
    wrong = np.hypot(0.5, 1.0)
    assert np.max(np.abs(focal_distance_sums(A) - wrong)) > 0.1


def test_normal_matrices_have_the_hull_of_their_eigenvalues() -> None:
    values = np.array([1.0, 1j, -2.0])
    support = support_function(np.diag(values), ANGLES)
    expected = np.max(np.real(np.exp(-1j * ANGLES)[:, None] * values[None]), axis=1)
    assert np.max(np.abs(support - expected)) <= tolerance("solve", n=3, scale=2)
    a, b = 0.5, 2.0
    rotation = np.array([[a, -b], [b, a]])
    assert numerical_abscissa(rotation) == a
    assert abs(numerical_radius(rotation) - np.hypot(a, b)) <= 1e-12 * np.hypot(a, b)


@pytest.mark.parametrize("N", [2, 3, 7, 20])
def test_numerical_radius_of_the_shift(N: int) -> None:
    assert abs(numerical_radius(np.diag(np.ones(N - 1), 1)) - np.cos(np.pi / (N + 1))) <= 1e-12


@given(seeds, st.integers(1, 5))
def test_law_power_inequality(seed: int, N: int) -> None:
    A = np.random.default_rng(seed).standard_normal((N, N))
    w = numerical_radius(A)
    slack = 1e-12 * w**2 + tolerance("solve", n=N, scale=w**2)
    assert numerical_radius(A @ A) <= w**2 + slack
    assert w >= float(np.max(np.abs(np.linalg.eigvals(A)))) - slack


def test_twin_the_product_inequality_fails_for_two_matrices() -> None:
    A = np.array([[0.0, 1.0], [0.0, 0.0]])
    assert not numerical_radius(A @ A.T) <= numerical_radius(A) * numerical_radius(A.T)


def test_narrow_maxima_are_found() -> None:
    A = np.diag([1.0, 1.0 + 1e-3, -1.0]) * np.exp(1j * np.array([0.1, 0.11, 2.0]))
    assert abs(numerical_radius(A) - 1.001) <= 1e-12
    assert numerical_radius(np.zeros((3, 3))) == 0.0


def test_example_of_the_paper_size_transient_weight() -> None:
    W = np.array([[0.5, 20.0], [0.0, 0.5]])
    assert numerical_abscissa(-W) == pytest.approx(9.5, abs=tolerance("solve", n=2, scale=10))
    assert numerical_range(W.astype(np.float32), 5).dtype == np.complex64
    assert support_function(W, np.zeros((2, 3))).shape == (2, 3)
