"""Bounds of the joint spectral radius on sets whose value is known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlmodel.stability import JointRadius, joint_spectral_radius_bounds
from nlmodel.testing import assert_close, tolerance


SEEDS = st.integers(0, 2**32 - 1)
A1 = np.array([[0.5, 3.0], [0.0, 0.5]])


def check_encloses(bounds, matrices, value: float) -> None:
    found = bounds(matrices, 4)
    rounding = tolerance("solve", n=8, scale=value, cond=10.0)
    assert found.lower - rounding <= value <= found.upper + rounding


def factors_alone(matrices, depth):
    """Twin: the largest spectral radius of the factors."""
    radius = max(float(np.max(np.abs(np.linalg.eigvals(A)))) for A in matrices)
    return JointRadius(radius, radius, (0,))


def test_two_stable_factors_grow_together():
    """{A, A^T}: the norm is attained by A A^T, so JSR = ||A|| = sqrt(9.49)."""
    norm = float(np.linalg.norm(A1, 2))
    check_encloses(joint_spectral_radius_bounds, [A1, A1.T], norm)
    found = joint_spectral_radius_bounds([A1, A1.T], 2)
    assert_close(np.float64(found.lower), np.float64(norm), "solve", n=2)
    assert_close(np.float64(found.upper), np.float64(norm), "solve", n=2)
    assert sorted(found.word) == [0, 1] and f"{found.lower**2:.2f}" == "9.49"
    with pytest.raises(AssertionError):
        check_encloses(factors_alone, [A1, A1.T], norm)


def test_the_golden_mean():
    """{[[1, 1], [0, 1]], [[1, 0], [1, 1]]}: JSR = (1 + sqrt 5)/2, by the product of both."""
    pair = [np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([[1.0, 0.0], [1.0, 1.0]])]
    golden = (1 + math.sqrt(5)) / 2
    check_encloses(joint_spectral_radius_bounds, pair, golden)
    assert_close(np.float64(joint_spectral_radius_bounds(pair, 2).lower), np.float64(golden), "solve", n=2)


@given(seed=SEEDS)
def test_triangular_sets_have_the_largest_diagonal_entry(seed):
    rng = np.random.default_rng(seed)
    matrices = np.triu(rng.standard_normal((3, 3, 3)))
    value = float(np.max(np.abs(np.diagonal(matrices, axis1=1, axis2=2))))
    check_encloses(joint_spectral_radius_bounds, matrices, value)


@given(seed=SEEDS)
def test_bounds_tighten_and_scale(seed):
    rng = np.random.default_rng(seed)
    matrices = rng.standard_normal((2, 2, 2))
    bounds = [joint_spectral_radius_bounds(matrices, depth) for depth in (1, 2, 4)]
    ends = [found.lower for found in bounds] + [found.upper for found in bounds[::-1]]
    assert ends == sorted(ends)
    scaled = joint_spectral_radius_bounds(1e-3 * matrices, 4)
    assert_close(np.float64(scaled.lower), np.float64(1e-3 * bounds[2].lower), "solve", n=3, cond=1e3)
    word = bounds[2].word
    product = np.linalg.multi_dot([np.eye(2), *(matrices[i] for i in word), np.eye(2)])
    radius = float(np.max(np.abs(np.linalg.eigvals(product)))) ** (1 / len(word))
    assert_close(np.float64(radius), np.float64(bounds[2].lower), "solve", n=3, cond=1e3)


def test_symmetric_sets_need_no_depth():
    rng = np.random.default_rng(0)
    matrices = [A + A.T for A in rng.standard_normal((4, 3, 3))]
    found = joint_spectral_radius_bounds(matrices, 1)
    assert_close(np.float64(found.lower), np.float64(found.upper), "solve", n=3)


def test_numbers_zeros_and_complex_entries():
    assert joint_spectral_radius_bounds([0.0, 0.0]) == JointRadius(0.0, 0.0, (0,))
    assert_close(np.float64(joint_spectral_radius_bounds([0.5, -0.8, 0.6j]).upper), np.float64(0.8), "solve", n=2)
    huge = joint_spectral_radius_bounds([1e200 * A1, 1e200 * A1.T], 4)
    assert_close(np.float64(huge.upper / 1e200), np.float64(np.linalg.norm(A1, 2)), "solve", n=2)
    nilpotent = joint_spectral_radius_bounds([np.array([[0.0, 1.0], [0.0, 0.0]])], 3)
    assert (nilpotent.lower, nilpotent.upper) == (0.0, 0.0)
