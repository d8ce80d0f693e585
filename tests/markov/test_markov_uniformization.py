"""e^{tQ} by uniformisation: oracles, the error bound, positivity."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import expm
from scipy.sparse import csr_array
from scipy.special import pdtr

import nlmodel.markov as mk
from nlmodel.markov.uniformization import poisson_weights
from nlmodel.testing import assert_close, tolerance
from tests.markov.chains import generators, lazy_cycle, row_normalized, two_states


STIFF = mk.generator(np.array([[0, 1e3, 1e-3, 0], [2.0, 0, 1e2, 1e-6], [0, 5.0, 0, 30.0], [1e-2, 0, 7.0, 0]]))


def exact_exponential(Q, t):
    """expm(tQ) from mpmath at 60 digits, of the rational numbers that the doubles stand for, rows made exact."""
    with mpmath.workdps(60):
        A = mpmath.matrix(Q.tolist())
        for i in range(len(Q)):
            A[i, i] = -mpmath.fsum(A[i, j] for j in range(len(Q)) if j != i)
        return np.array(mpmath.expm(A * t).tolist(), dtype=float)


@pytest.mark.parametrize("t", [1e-3, 0.1, 3.0, 100.0])
def test_transition_matrix_of_a_stiff_chain(t):
    exact, rate = exact_exponential(STIFF, t), abs(STIFF).max()
    found = mk.transition_matrix(STIFF, t)
    assert_close(found, exact, "solve", n=4, scale=1.0, cond=1 + min(rate * t, 100.0))
    assert np.min(found) >= 0 and mk.is_transition_matrix(found)
    law = np.array([0.1, 0.2, 0.3, 0.4])
    moved = mk.propagate(STIFF, law, t)
    assert_close(moved, law @ exact, "reduction", n=4 * math.ceil(rate * t + 100), scale=1.0)
    with pytest.raises(AssertionError):  # control: the tolerance still sees the transpose
        assert_close(found.T.copy(), exact, "solve", n=4, scale=1.0, cond=1 + min(rate * t, 100.0))


def test_two_states():
    a, b = 0.3, 2.0
    stationary = np.array([[b, a], [b, a]]) / (a + b)
    for t in (0.0, 0.5, 7.0, 1e6):
        exact = stationary + math.exp(-(a + b) * t) * (np.eye(2) - stationary)
        assert_close(mk.transition_matrix(two_states(a, b), t), exact, "solve", n=2, scale=1.0)


def check_semigroup(P, Q, s, t):
    assert_close(P(Q, s) @ P(Q, t), P(Q, s + t), "solve", n=len(Q), scale=1.0)


@given(generators(), st.floats(0, 3), st.floats(0, 3))
def test_semigroup_and_transition_matrix(Q, s, t):
    check_semigroup(mk.transition_matrix, Q, s, t)
    assert mk.is_transition_matrix(mk.transition_matrix(Q, s))
    assert_close(mk.transition_matrix(Q, s), expm(s * Q), "solve", n=len(Q), scale=1.0)


def test_the_lazy_approximation_is_no_semigroup():
    with pytest.raises(AssertionError):
        check_semigroup(lambda Q, t: np.eye(4) + t * Q, STIFF, 1e-4, 1e-4)


@given(generators("law"), st.floats(0, 20), st.sampled_from([1e-1, 1e-3, 1e-6, 1e-10]))
def test_the_error_is_the_missing_mass_and_at_most_the_tolerance(case, t, tol):
    Q, z = case
    exact, found = z @ mk.transition_matrix(Q, t), mk.propagate(Q, z, t, tol=tol)
    rounding = tolerance("solve", n=len(z))
    error, missing = np.sum(np.abs(found - exact)), 1 - np.sum(found)
    assert np.min(found) >= 0
    assert error <= tol + rounding
    assert abs(error - missing) <= rounding


def test_the_tolerance_is_used_and_not_more_than_that():
    Q, z = STIFF, np.array([1.0, 0, 0, 0])
    exact = mk.propagate(Q, z, 0.1)
    errors = [np.sum(np.abs(mk.propagate(Q, z, 0.1, tol=tol) - exact)) for tol in (1e-2, 1e-4)]
    assert errors[0] <= 1e-2 and errors[1] <= 1e-4
    assert errors[0] > 1e-4  # control: the looser answer does not meet the tighter bound


@pytest.mark.parametrize("mean", [0.0, 1e-8, 0.7, 30.0, 5e3, 1e7])
@pytest.mark.parametrize("tol", [1e-3, 1e-12])
def test_poisson_weights(mean, tol):
    first, weights = poisson_weights(mean, tol)
    n = np.arange(first, first + len(weights))
    with mpmath.workdps(40):
        some = [0, len(n) // 3, len(n) - 1]
        m = mpmath.mpf(mean)
        exact = [m ** int(n[k]) * mpmath.exp(-m) / mpmath.factorial(int(n[k])) for k in some]
        ratio = np.array([float(weights[k] / e) for k, e in zip(some, exact, strict=True)])
    assert_close(ratio, np.ones(3), "reduction", n=len(n) + 100)
    left_out = (pdtr(first - 1, mean) if first else 0.0) + 1 - pdtr(n[-1], mean)
    assert left_out <= tol + tolerance("reduction", n=len(n))
    if mean > 1:
        assert pdtr(first + 1, mean) + 1 - pdtr(n[-1] - 2, mean) > tol / 2 - tolerance("reduction", n=len(n))


def test_the_uniformised_chain_has_the_same_law():
    assert_close(mk.stationary(mk.uniformized(STIFF)), mk.stationary(STIFF), "solve", n=4)
    assert mk.is_transition_matrix(mk.uniformized(STIFF, rate=1e5))
    assert np.array_equal(mk.uniformized(np.zeros((2, 2))), np.eye(2))


def test_sparse_chains_and_several_fields():
    P = lazy_cycle(40)
    Q = mk.generator_from_transition(P)
    Z = np.random.default_rng(3).random((40, 2))
    exact = expm(5 * Q.toarray()).T @ Z
    assert_close(mk.propagate(Q, Z, 5.0), exact, "reduction", n=3 * 60)
    assert_close(mk.transition_matrix(Q, 5.0), expm(5 * Q.toarray()), "solve", n=40, scale=1.0)


def test_single_precision_in_and_out():
    Q = mk.generator(np.array([[0, 1, 2], [3, 0, 1], [0.5, 0.5, 0]], dtype=np.float32))
    z = np.array([1, 0, 0], dtype=np.float32)
    exact = expm(Q.astype(float)).astype(np.float32)
    assert_close(mk.transition_matrix(Q, 1.0), exact, "reduction", n=16, scale=1.0)
    assert_close(mk.propagate(Q, z, 1.0), exact[0], "reduction", n=16, scale=1.0)
    assert mk.euler_step(Q, z, 0.1).dtype == np.float32 and mk.uniformized(csr_array(Q)).dtype == np.float32


def test_time_zero_is_the_identity():
    assert np.array_equal(mk.transition_matrix(STIFF, 0.0), np.eye(4))
    law = row_normalized(np.ones((1, 4)))[0]
    assert np.array_equal(mk.propagate(STIFF, law, 0.0), law)
