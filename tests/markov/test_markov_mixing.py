"""Worst-case mixing: definition against definition, bounds, sparse chains by modes and by steps."""

import numpy as np
import pytest
from hypothesis import given
from scipy.sparse import csr_array, diags_array, eye_array, kron, random_array

import nlmodel.markov as mk
from nlmodel.errors import ConvergenceError, DomainError
from nlmodel.markov.mixing_modes import _Modes, mixing_time_by_modes
from nlmodel.markov.symmetric import slowest_modes, symmetric_form
from nlmodel.testing import assert_close, tolerance
from tests.markov.chains import affinities, lazy_cycle, one_way_ring, row_normalized, transitions


def definition(P, eps, start=None):
    """Count steps; `start` is a law to start from instead of every state."""
    pi, rows, t = mk.stationary(P), np.eye(len(P)) if start is None else start[None, :], 0
    while 0.5 * np.max(np.sum(np.abs(rows - pi), axis=1)) > eps:
        rows, t = rows @ P, t + 1
    return t


def check_mixing_time(found, P, eps):
    assert found == definition(P, eps)


@given(transitions())
def test_mixing_time_is_the_first_time_of_the_worst_start(P):
    check_mixing_time(mk.mixing_time(P, 0.01), P, 0.01)


@pytest.mark.parametrize("eps", [0.25, 1e-3])
def test_a_doubly_stochastic_chain_that_looks_mixed_from_the_uniform_law(eps):
    P = lazy_cycle(10).toarray()
    uniform = np.full(10, 0.1)
    assert definition(P, eps, start=uniform) == 0  # from here it says nothing
    expected = {0.25: 10, 1e-3: 65}[eps]
    assert mk.mixing_time(P, eps) == mk.mixing_time(csr_array(P), eps) == definition(P, eps) == expected
    with pytest.raises(AssertionError):
        check_mixing_time(definition(P, eps, start=uniform), P, eps)


def test_simple_cases():
    assert mk.mixing_time(np.full((4, 4), 0.25)) == 1
    assert mk.mixing_time(np.full((4, 4), 0.25), 0.75) == 0 and mk.mixing_time(np.ones((1, 1))) == 0
    slow = np.array([[1 - 1e-9, 1e-9], [1e-9, 1 - 1e-9]])
    exact = np.log(0.5) / np.log1p(-2e-9)  # d(t) = (1 - 2e-9)^t / 2
    assert abs(mk.mixing_time(slow) / exact - 1) <= tolerance("solve", n=2, cond=1e9 / 100)
    transient = np.array([[0.5, 0.5, 0], [0, 0.5, 0.5], [0, 0.5, 0.5]])
    assert mk.mixing_time(transient) == definition(transient, 0.25) == 2


@given(affinities(symmetric=True, most=6))
def test_bounds_hold(W):
    P = row_normalized(W)
    found = mk.mixing_time_bounds(P, 0.01)
    rounding = tolerance("solve", n=len(P), scale=found.upper)
    assert found.lower - rounding <= mk.mixing_time(P, 0.01) <= found.upper + rounding


def test_bounds_in_closed_form_and_wrong_ones():
    P = np.array([[0.9, 0.1], [0.1, 0.9]])
    found = mk.mixing_time_bounds(P, 0.01)
    assert_close(np.array([found.lower, found.upper]), np.array([4 * np.log(50), 5 * np.log(200)]), "solve", n=2)
    assert found.lower <= mk.mixing_time(P, 0.01) <= found.upper
    one = mk.mixing_time_bounds(P, 0.01)
    assert not (one.lower * 1.5 <= mk.mixing_time(P, 0.01))  # control: half as much again is no lower bound
    assert not (mk.mixing_time(P, 0.01) <= one.upper / 1.5)
    line = np.diag(np.full(699, 0.5), 1) + np.diag(np.full(699, 0.5), -1)
    line[0, 1] = line[-1, -2] = 1.0
    for periodic in (np.array([[0.0, 1.0], [1.0, 0.0]]), line, csr_array(line)):
        assert mk.mixing_time_bounds(periodic).lower == mk.mixing_time_bounds(periodic).upper == np.inf
    assert mk.mixing_time_bounds(P, 0.6).lower == 0


def test_worst_distance_follows_the_definition():
    P = row_normalized(np.random.default_rng(6).random((5, 5)) ** 4)
    pi = mk.stationary(P)
    for t in (0, 1, 2, 7):
        exact = 0.5 * np.sum(np.abs(np.linalg.matrix_power(P, t) - pi), axis=1)
        for found in (mk.worst_distance(P, t), mk.worst_distance(csr_array(P), t)):
            assert_close(np.array(found), np.array(np.max(exact)), "solve", n=5, scale=1.0)
        assert_close(np.array(mk.worst_distance(P, t, starts=[1, 3])), np.array(max(exact[1], exact[3])), "solve", n=5)
    distances = [mk.worst_distance(P, t) for t in range(12)]
    assert np.all(np.diff(distances) <= 0)


def test_periodic_chains_never_mix():
    for P in (np.array([[0.0, 1.0], [1.0, 0.0]]), one_way_ring(600)):
        with pytest.raises(DomainError, match="period 2"):
            mk.mixing_time(P)
    assert mk.mixing_time(mk.lazy(np.array([[0.0, 1.0], [1.0, 0.0]]), 0.5)) == 1


def fourier_mixing_time(M, eps):
    """The lazy ring by its exact symbol: all starts are alike."""
    symbol = np.cos(np.pi * np.arange(M) / M) ** 2

    def distance(t):
        return 0.5 * np.sum(np.abs(np.fft.ifft(symbol**t).real - 1 / M))

    low, high = 0, 1
    while distance(high) > eps:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if distance(middle) > eps else (low, middle)
    return high


def test_a_large_sparse_ring_against_its_fourier_transform():
    found, exact = mixing_time_by_modes(mk.check_transition_matrix(lazy_cycle(2000)), 0.25)
    assert exact and found == fourier_mixing_time(2000, 0.25) == mk.mixing_time(lazy_cycle(2000)) == 379482
    symbol = np.cos(np.pi * np.arange(600) / 600) ** 2
    exact = 0.5 * np.sum(np.abs(np.fft.ifft(symbol**50).real - 1 / 600))
    assert_close(np.array(mk.worst_distance(lazy_cycle(600), 50, starts=[0, 99])), np.array(exact), "reduction", n=150)


def test_a_large_sparse_grid_with_different_starts_against_dense():
    n, rng = 23, np.random.default_rng(9)
    line = diags_array([0.1 + rng.random(n - 1)], offsets=[1], shape=(n, n))
    line = line + line.T
    W = kron(line, eye_array(n)) + kron(eye_array(n), line) + eye_array(n * n)
    P = row_normalized(csr_array(W))
    found, exact = mixing_time_by_modes(mk.check_transition_matrix(P), 0.25)
    assert exact and found == mk.mixing_time(P) == mk.mixing_time(P.toarray())
    assert mk.worst_distance(P.toarray(), found) <= 0.25 < mk.worst_distance(P.toarray(), found - 1)


def test_a_few_modes_bracket_every_distance():
    n, rng = 23, np.random.default_rng(9)
    line = diags_array([0.1 + rng.random(n - 1)], offsets=[1], shape=(n, n))
    line = line + line.T
    W = kron(line, eye_array(n)) + kron(eye_array(n), line) + eye_array(n * n)
    P, starts = row_normalized(csr_array(W)), np.arange(n * n)
    form = symmetric_form(mk.check_transition_matrix(P))
    modes = _Modes.build(form.root, *slowest_modes(form, 8), abs(mk.spectral_gap(P).lambda_min))
    pi, rounding, beyond = mk.stationary(P), tolerance("solve", n=n * n), 0
    for t in (1, 30, 100, 300):
        exact = 0.5 * np.sum(np.abs(np.linalg.matrix_power(P.toarray(), t) - pi), axis=1)
        lower, upper = modes.bounds(starts, t)
        assert np.all(lower <= exact + rounding) and np.all(exact <= upper + rounding)
        modal = 0.5 * np.abs((modes.phi * np.exp(modes.log_lambda * t)) @ modes.phi.T) @ modes.law
        beyond += np.count_nonzero(modal > exact + rounding)
    assert beyond > 0  # control: the modes alone are no lower bound


def test_a_fast_sparse_chain_falls_back_on_steps():
    rng = np.random.default_rng(1)
    W = random_array((520, 520), density=0.02, rng=rng)
    P = row_normalized(csr_array(W + W.T + eye_array(520)))
    upper, exact = mixing_time_by_modes(mk.check_transition_matrix(P), 0.25)
    assert not exact
    assert mk.mixing_time(P) == mk.mixing_time(P.toarray()) <= upper


def test_given_starts():
    P = row_normalized(np.random.default_rng(2).random((6, 6)) ** 6)
    every = [mk.mixing_time(csr_array(P), 1e-3, starts=[i]) for i in range(6)]
    assert max(every) == mk.mixing_time(P, 1e-3, starts=np.arange(6)) == mk.mixing_time(P, 1e-3) > min(every)
    with pytest.raises(ConvergenceError, match="max_steps = 2"):
        mk.mixing_time(lazy_cycle(600), starts=[0], max_steps=2)
    ring = one_way_ring(601, 0.99)
    with pytest.raises(DomainError, match="needs reversibility"):
        mk.mixing_time(ring)
    assert mk.worst_distance(ring, 3, starts=[0]) > 0.9


def test_chains_in_pieces_are_refused():
    for P in (np.eye(3), csr_array(np.eye(600))):
        with pytest.raises(DomainError, match="recurrent classes"):
            mk.mixing_time(P)


def test_stationary_probabilities_too_small_for_modes_are_refused():
    M, ratio = 600, 0.05
    up, down = 0.5 * ratio / (1 + ratio), 0.5 / (1 + ratio)
    steep = diags_array([np.full(M - 1, up), np.full(M - 1, down)], offsets=[1, -1], shape=(M, M))
    P = csr_array(steep + diags_array(1 - steep.sum(axis=1)))
    with pytest.raises(DomainError, match="stationary probabilities"):
        mk.mixing_time(P)
