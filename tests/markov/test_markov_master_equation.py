"""Generators, the master equation, its Euler form and the lazy chain; rows against columns."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array, issparse

import nlmodel.markov as mk
from nlmodel.errors import DomainError, UnstableStepError
from nlmodel.testing import assert_close, observed_order, tolerance
from tests.markov.chains import (
    affinities,
    generators,
    transitions,
    two_states,
)


SKEWED = np.array([[0.1, 0.6, 0.3], [0.2, 0.7, 0.1], [0.5, 0.4, 0.1]])


def check_rates(Q, W, w):
    """Rates gamma_ij w_j off the diagonal, rows that sum to 0."""
    away = ~np.eye(len(W), dtype=bool)
    assert_close(Q[away], (W * w)[away])
    assert_close(Q.sum(axis=1), np.zeros(len(Q)), "reduction", n=len(Q), scale=abs(Q).max())


@given(affinities(), st.floats(0.1, 2))
def test_generator(W, w):
    weights = w * np.arange(1.0, len(W) + 1)
    check_rates(mk.generator(W, weights=weights), W, weights)
    check_rates(mk.generator(W), W, np.ones(len(W)))
    check_rates(mk.generator(csr_array(W), weights=weights).toarray(), W, weights)
    assert np.array_equal(mk.generator(mk.generator(W)), mk.generator(W))


def test_generator_with_column_sums_is_caught():
    moves = SKEWED - np.diag(np.diag(SKEWED))
    with pytest.raises(AssertionError):
        check_rates(moves - np.diag(moves.sum(axis=0)), SKEWED, np.ones(3))


@given(transitions(), st.floats(0.1, 10))
def test_generator_from_transition(P, tau):
    Q = mk.generator_from_transition(P, holding_time=tau)
    assert_close(Q, (P - np.eye(len(P))) / tau, "reduction", n=len(P), scale=1 / tau)
    assert mk.is_generator(Q)


def test_generator_from_transition_keeps_rows_that_hardly_move():
    P = np.array([[1 - 1e-14, 1e-14], [0.5, 0.5]])
    assert mk.is_generator(mk.generator_from_transition(P))
    assert not mk.is_generator(P - np.eye(2))  # 1 - P_00 has lost its digits


def check_mass(rhs, Q, z):
    change = rhs(Q, z)
    assert_close(np.sum(change, keepdims=True), np.zeros(1), "reduction", n=2 * len(z), scale=abs(Q).max())


@given(generators("field"))
def test_the_master_equation_keeps_mass_and_is_gain_minus_loss(case):
    Q, z = case
    check_mass(mk.master_equation_rhs, Q, z)
    gain = [sum(Q[i, j] * z[i] for i in range(len(z)) if i != j) for j in range(len(z))]
    loss = [sum(Q[j, i] * z[j] for i in range(len(z)) if i != j) for j in range(len(z))]
    assert_close(mk.master_equation_rhs(Q, z), np.array(gain) - loss, "reduction", n=4 * len(z), scale=abs(Q).max())


def test_the_backward_equation_does_not_keep_mass():
    with pytest.raises(AssertionError):
        check_mass(lambda Q, z: Q @ z, mk.generator(SKEWED), np.array([1.0, 0.0, 0.0]))


@given(generators("law"), st.floats(0, 1))
def test_euler_steps_are_laws_up_to_the_limit(case, share):
    Q, z = case
    stepped = mk.euler_step(Q, z, share * mk.euler_limit(Q))
    assert np.min(stepped) >= 0
    assert_close(np.sum(stepped, keepdims=True), np.ones(1), "reduction", n=2 * len(z))
    assert_close(stepped, z + share * mk.euler_limit(Q) * Q.T @ z, "reduction", n=2 * len(z), scale=1.0)


@given(generators())
def test_the_euler_limit_is_sharp(Q):
    dt = mk.euler_limit(Q)
    assert mk.is_transition_matrix(mk.uniformized(Q, rate=1 / (0.999 * dt)))
    fastest = np.eye(len(Q))[int(np.argmin(np.diag(Q)))]
    assert np.min(fastest + 1.01 * dt * Q.T @ fastest) < 0  # what the error prevents
    with pytest.raises(UnstableStepError, match="dt must be at most"):
        mk.euler_step(Q, fastest, 1.01 * dt)
    with pytest.raises(DomainError, match="rate must be at least"):
        mk.uniformized(Q, rate=1 / (1.01 * dt))


def test_nothing_that_moves_has_no_limit():
    assert mk.euler_limit(np.zeros((2, 2))) == np.inf
    assert np.array_equal(mk.euler_step(np.zeros((2, 2)), np.array([0.25, 0.75]), 1e9), [0.25, 0.75])


def test_euler_converges_with_order_one():
    Q, z, T = mk.generator(SKEWED * 3), np.array([0.7, 0.1, 0.2]), 1.0
    exact, steps, errors = mk.propagate(Q, z, T), [], []
    for n in (20, 40, 80, 160, 320):
        found = z
        for _ in range(n):
            found = mk.euler_step(Q, found, T / n)
        steps.append(T / n)
        errors.append(np.sum(np.abs(found - exact)))
    order = observed_order(steps, errors)
    assert abs(order.order - 1) < 0.1 and abs(order.local[-1] - 1) < 0.05
    assert abs(observed_order(steps, np.square(errors)).order - 1) > 0.5  # control: the fit can tell


@given(affinities("law"))
def test_what_does_not_move_stays(case):
    rates, z = case
    dt = 0.9 * mk.euler_limit(mk.generator(rates))
    moves = dt * (rates - np.diag(np.diag(rates)))
    P = mk.lazy_completion(moves)
    expected = moves.T @ z + (1 - moves.sum(axis=1)) * z
    assert_close(mk.evolve_density(P, z), expected, "reduction", n=2 * len(z), scale=1.0)
    assert_close(mk.euler_step(mk.generator(rates), z, dt), expected, "reduction", n=2 * len(z), scale=1.0)
    lost = 1 - np.sum(moves.T @ z)  # z(t) = p^T z(t'), the form that needs row sums 1
    assert lost > tolerance("reduction", n=2 * len(z))


def test_the_lazy_chain():
    P = np.array([[0.0, 1.0], [1.0, 0.0]])
    assert_close(mk.lazy(P, 0.25), np.array([[0.75, 0.25], [0.25, 0.75]]))
    assert issparse(mk.lazy(csr_array(P), 0.25)) and issparse(mk.lazy_completion(csr_array(0.5 * P)))
    assert_close(mk.lazy_completion(0.5 * P), mk.lazy(P, 0.5))
    assert np.array_equal(mk.lazy_completion(csr_array(0.5 * P)).toarray(), mk.lazy_completion(0.5 * P))


def average(K, Z):
    """Z_i = sum_j K_ij Z_j, Tao et al. 2018, eq. (23)."""
    return K @ Z


def exchange(K, Z):
    """Z_i + sum_j K_ij (Z_j - Z_i), Tao et al. 2018, eq. (24)."""
    return Z + mk.generator(K) @ Z


DOUBLY = np.array([[0.2, 0.3, 0.5], [0.5, 0.2, 0.3], [0.3, 0.5, 0.2]])


@pytest.mark.parametrize(
    ("K", "same", "average_keeps_mass", "exchange_keeps_mass"),
    [
        pytest.param(SKEWED, True, False, False, id="rows"),
        pytest.param(SKEWED.T.copy(), False, True, False, id="columns"),
        pytest.param(DOUBLY, True, True, True, id="both"),
        pytest.param(2 * SKEWED @ np.diag([1.0, 0.5, 0.25]), False, False, False, id="neither"),
    ],
)
def test_averaging_equals_exchange_only_for_rows_and_keeps_mass_only_for_columns(
    K, same, average_keeps_mass, exchange_keeps_mass
):
    Z = np.array([1.0, -2.0, 4.0])
    bound = tolerance("reduction", n=6, scale=8.0)
    assert bool(np.max(np.abs(average(K, Z) - exchange(K, Z))) <= bound) is same
    assert bool(abs(np.sum(average(K, Z) - Z)) <= bound) is average_keeps_mass
    assert bool(abs(np.sum(exchange(K, Z) - Z)) <= bound) is exchange_keeps_mass


def test_a_symmetric_matrix_without_unit_rows_keeps_mass_by_exchange_only():
    K, Z = np.array([[1.0, 2.0], [2.0, 0.5]]), np.array([1.0, 5.0])
    assert abs(np.sum(exchange(K, Z) - Z)) <= tolerance("reduction", n=4, scale=10.0) < abs(np.sum(average(K, Z) - Z))


def check_duality(forward, backward, z, f):
    gap = np.array(forward @ f - z @ backward)
    assert_close(gap, np.zeros(()), "reduction", n=2 * len(z), scale=1.0)


@given(transitions("field", "field"))
def test_densities_and_observables_are_dual(case):
    P, z, f = case
    check_duality(mk.evolve_density(P, z), mk.evolve_observable(P, f), z, f)
    assert_close(np.array(mk.evolve_density(P, z).sum()), np.array(z.sum()), "reduction", n=2 * len(z), scale=1.0)
    assert np.max(mk.evolve_observable(P, f)) <= np.max(f) + tolerance("reduction", n=len(f))


def test_moving_densities_by_p_itself_breaks_the_duality():
    z, f = np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])
    with pytest.raises(AssertionError):
        check_duality(SKEWED @ z, SKEWED @ f, z, f)


def test_two_states_in_closed_form():
    a, b, t, z = 2.0, 0.5, 0.7, np.array([0.9, 0.1])
    pi = np.array([b, a]) / (a + b)
    exact = pi + np.exp(-(a + b) * t) * (z - pi)
    assert_close(mk.propagate(two_states(a, b), z, t), exact, "reduction", n=32)
    assert_close(mk.stationary(two_states(a, b)), pi)
