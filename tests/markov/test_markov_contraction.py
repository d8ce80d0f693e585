"""Dobrushin, Birkhoff, Cheeger."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from scipy.sparse import csr_array

import nlmodel.markov as mk
from nlmodel.errors import DomainError
from nlmodel.testing import assert_close, tolerance
from tests.markov.chains import affinities, ehrenfest, lazy_cycle, row_normalized, transitions


def oscillation(f):
    return np.max(f) - np.min(f)


def check_contraction(tau, P, f):
    assert oscillation(P @ f) <= tau * oscillation(f) + tolerance("reduction", n=2 * len(f))


@given(transitions("field", most=6))
def test_one_step_shrinks_oscillations(case):
    P, f = case
    tau = mk.dobrushin_coefficient(P)
    check_contraction(tau, P, f)
    assert tau <= mk.birkhoff_bound(P) + tolerance("reduction", n=len(f)) <= 1 + tolerance("reduction", n=len(f))
    i, j = max(itertools.combinations(range(len(P)), 2), key=lambda p: np.sum(np.abs(P[p[0]] - P[p[1]])))
    extreme = np.where(P[i] > P[j], 1.0, 0.0)  # where the worst case is attained
    attained = np.array(oscillation(P[[i, j]] @ extreme))
    assert_close(attained, np.array(tau), "reduction", n=2 * len(f), scale=1.0)


def test_smaller_factors_fail():
    P, f = np.array([[0.9, 0.1], [0.3, 0.7]]), np.array([1.0, 0.0])
    assert_close(np.array(mk.dobrushin_coefficient(P)), np.array(0.6), "reduction", n=2)
    with pytest.raises(AssertionError):
        check_contraction(0.99 * 0.6, P, f)
    diameter = np.log(0.9 * 0.7 / (0.1 * 0.3))
    assert_close(np.array(mk.birkhoff_bound(P)), np.array(np.tanh(diameter / 4)), "reduction", n=4)
    with pytest.raises(AssertionError):
        check_contraction(np.tanh(diameter / 8), P, f)


@given(transitions("law", "law"))
def test_dobrushin_bounds_total_variation(case):
    P, p, q = case
    after = mk.total_variation(mk.evolve_density(P, p), mk.evolve_density(P, q))
    assert after <= mk.dobrushin_coefficient(P) * mk.total_variation(p, q) + tolerance("reduction", n=4 * len(p))


def test_extremes_and_forms():
    assert mk.dobrushin_coefficient(np.eye(3)) == 1 and mk.birkhoff_bound(np.eye(3)) == 1
    assert mk.dobrushin_coefficient(np.ones((1, 1))) == 0 and mk.birkhoff_bound(np.ones((1, 1))) == 0
    rank_one = np.tile([0.2, 0.0, 0.8], (3, 1))
    assert mk.dobrushin_coefficient(rank_one) == 0 and mk.birkhoff_bound(rank_one) == 0
    assert mk.birkhoff_bound(csr_array(rank_one)) == 0
    P = row_normalized(np.random.default_rng(0).random((20, 20)))
    assert mk.dobrushin_coefficient(csr_array(P)) == mk.dobrushin_coefficient(P)
    assert mk.birkhoff_bound(csr_array(P)) == mk.birkhoff_bound(P)


def test_large_sparse_chains():
    assert mk.dobrushin_coefficient(lazy_cycle(100_000)) == 1 and mk.birkhoff_bound(lazy_cycle(100_000)) == 1
    M = 1100
    star = csr_array(
        (
            np.full(2 * M - 1, 0.5),
            (np.r_[np.arange(M), np.arange(1, M)], np.r_[np.zeros(M), np.arange(1, M)].astype(int)),
        ),
        shape=(M, M),
    )
    star[0, 0] = 1.0  # half of the mass of every state goes to state 0, and all of state 0 stays
    assert mk.dobrushin_coefficient(star) == 0.5


def conductance(P, S):
    pi, outside = mk.stationary(P), [j for j in range(len(P)) if j not in S]
    return np.sum(pi[S][:, None] * P[np.ix_(S, outside)]) / np.sum(pi[S]), np.sum(pi[S])


@given(affinities(symmetric=True, most=6))
def test_cheeger_is_the_smallest_conductance_and_brackets_the_gap(W):
    P = row_normalized(W)
    h, gap = mk.cheeger_constant(P), mk.spectral_gap(P).gap
    slack = tolerance("solve", n=len(P))
    assert h**2 / 2 <= gap + slack and gap <= 2 * h + slack


def test_cheeger_against_all_subsets():
    for P in (row_normalized(np.random.default_rng(1).random((6, 6))), ehrenfest(5)):
        subsets = [list(S) for k in range(1, 6) for S in itertools.combinations(range(6), k)]
        found = [conductance(P, S) for S in subsets]
        exact = min(h for h, mass in found if mass <= 0.5 + tolerance("reduction", n=6))
        assert_close(np.array(mk.cheeger_constant(P)), np.array(exact), "reduction", n=36)
        assert min(h for h, _ in found) < exact * 0.9  # control: sets of more than half of the mass escape less


def test_cheeger_of_two_weakly_joined_halves():
    a = 1e-3
    P = np.array([[0.5, 0.5 - a, a, 0], [0.5 - a, 0.5, 0, a], [a, 0, 0.5, 0.5 - a], [0, a, 0.5 - a, 0.5]])
    assert_close(np.array(mk.cheeger_constant(P)), np.array(a), "reduction", n=16, scale=1.0)
    assert mk.cheeger_constant(np.kron(np.eye(1), P)) < mk.cheeger_constant(ehrenfest(3))
    with pytest.raises(DomainError, match="17 states"):
        mk.cheeger_constant(lazy_cycle(17))
    assert mk.cheeger_constant(lazy_cycle(16)) == 1 / 16


def test_no_set_holds_at_most_half_when_one_state_absorbs_all():
    assert mk.cheeger_constant(np.array([[1.0, 0.0], [0.5, 0.5]])) == np.inf
    assert mk.cheeger_constant(np.array([[0.5, 0.5], [0.5, 0.5]])) == 0.5  # control
