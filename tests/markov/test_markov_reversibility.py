"""Reversibility, time reversal, entropy production and relative entropy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import block_diag, csr_array

import nlmodel.markov as mk
from nlmodel.errors import DomainError
from nlmodel.markov.balance import balance
from nlmodel.testing import assert_close, tolerance
from tests.markov.chains import affinities, downhill, lazy_cycle, one_way_ring, row_normalized, transitions


def rotation(q):
    """Three states, clockwise with probability q: cycle gap 3 |log(q / (1 - q))|."""
    return q * np.roll(np.eye(3), 1, axis=1) + (1 - q) * np.roll(np.eye(3), -1, axis=1)


@given(affinities(symmetric=True, most=6))
def test_symmetric_affinities_are_reversible(W):
    P = row_normalized(W)
    assert mk.is_reversible(P) and mk.is_reversible(P, mk.stationary(P))
    assert mk.kolmogorov_cycle_gap(P) <= tolerance("reduction", n=20, scale=5.0)
    assert mk.detailed_balance_gap(P) <= tolerance("reduction", n=20, scale=5.0)
    assert mk.entropy_production(P) <= tolerance("reduction", n=20, scale=5.0) ** 2


@given(affinities("law", symmetric=True, least=3, most=6), st.floats(1e-9, 1.0))
def test_one_changed_entry_is_seen_wherever_it_is(drawn, change):
    W, law = drawn
    W = W * np.outer(law, law) ** 4  # flows of very different size
    W[0, 1] *= 1 + change
    P = row_normalized(W)
    assert not mk.is_reversible(P) and not mk.is_reversible(P, mk.stationary(P))
    # around the cycle 0 1 2 the logs of the ratios add up to the change
    assert mk.kolmogorov_cycle_gap(P) >= math.log1p(change) - tolerance("solve", n=len(P), scale=100.0)


def test_cycle_gap_of_a_rotation():
    for q in (0.6, 0.9, 1 - 1e-9):
        gap = np.array(mk.kolmogorov_cycle_gap(rotation(q)))
        assert_close(gap, np.array(3 * math.log(q / (1 - q))), "solve", n=3, cond=1 / (1 - q), scale=1.0)
    assert mk.kolmogorov_cycle_gap(rotation(1.0)) == math.inf
    assert mk.kolmogorov_cycle_gap(np.eye(3)) == 0


def test_an_absolute_tolerance_would_hide_a_rare_cycle():
    """Three rarely visited states that rotate: the flows differ by 1e-16 only, but always in one direction."""
    P = csr_array(block_diag([np.eye(1) - 1e-16, rotation(0.8) * 0.5]))
    P = P.toarray()
    P[0, 1], P[0, 0] = 1e-16, 1 - 1e-16
    P[1, 0] = 0.5
    P[2, 2], P[3, 3] = 0.5, 0.5
    pi = mk.stationary(P)
    flow = pi[:, None] * P
    assert np.allclose(flow, flow.T)  # what a tolerance of 1e-8 sees
    assert not mk.is_reversible(P) and mk.detailed_balance_gap(P) > 0.5


@given(transitions(least=3))
def test_fundamental_cycles_are_enough(P):
    """Every cycle of length 3 and 4 has a gap of at most its number of steps times the largest fundamental one."""
    gap, a = mk.kolmogorov_cycle_gap(P), np.log(P) - np.log(P.T)
    n = len(P)
    worst = max(abs(a[i, j] + a[j, k] + a[k, i]) for i in range(n) for j in range(n) for k in range(n))
    slack = tolerance("reduction", n=8, scale=20.0)
    assert worst <= 3 * gap + slack
    assert gap <= worst + slack  # from state 0 all fundamental cycles of a full graph are triangles


def test_disconnected_and_one_way_chains():
    two = np.kron(np.eye(2), row_normalized(np.array([[1.0, 2], [2, 3]])))
    assert mk.is_reversible(two) and mk.is_reversible(csr_array(two)) and mk.is_reversible(np.eye(3))
    absorbing = np.array([[0.5, 0.5], [0.0, 1.0]])
    assert not mk.is_reversible(absorbing)
    assert mk.is_reversible(absorbing, np.array([0.0, 1.0]))  # the law that sits in the absorbing state
    assert not mk.is_reversible(absorbing, np.array([0.5, 0.5]))
    assert mk.detailed_balance_gap(absorbing) == 0 and mk.entropy_production(absorbing) == 0
    assert mk.detailed_balance_gap(rotation(1.0)) == 1 and mk.entropy_production(rotation(1.0)) == math.inf


def test_large_sparse_chains():
    assert mk.is_reversible(lazy_cycle(5000)) and not mk.is_reversible(one_way_ring(5000, 0.5 + 1e-9))
    long = csr_array(downhill(4000, 0.99))
    assert mk.is_reversible(long) and mk.is_reversible(long, mk.stationary(long))


def test_single_precision_has_its_own_tolerance():
    W = np.random.default_rng(1).random((40, 40))
    P = row_normalized(W + W.T).astype(np.float32)
    double = row_normalized(P.astype(np.float64))
    assert mk.is_reversible(P) and not mk.is_reversible(double) and mk.is_reversible(double, tol=1e-5)
    assert not mk.is_reversible(row_normalized(W).astype(np.float32))


def check_reversal(reverse, P):
    """A chain with the same law that is the adjoint of P in it."""
    pi = mk.stationary(P)
    assert mk.is_transition_matrix(reverse, tol=tolerance("solve", n=len(P)))
    assert_close(pi @ reverse, pi, "solve", n=len(P), scale=1.0)
    assert_close(pi[:, None] * reverse, (pi[:, None] * P).T.copy(), "solve", n=len(P), scale=1.0)


@given(transitions())
def test_time_reversal(P):
    check_reversal(mk.time_reversal(P), P)


def test_time_reversal_in_every_form():
    P = row_normalized(np.random.default_rng(8).random((5, 5)))
    reverse = mk.time_reversal(P)
    assert_close(mk.time_reversal(P, mk.stationary(P)), reverse, "solve", n=len(P))
    assert_close(mk.time_reversal(csr_array(P)).toarray(), reverse, "elementwise")
    assert_close(mk.time_reversal(reverse), P, "solve", n=len(P))
    Q = mk.generator_from_transition(P)
    assert_close(mk.time_reversal(Q), mk.generator_from_transition(reverse), "solve", n=len(P), scale=1.0)


def test_the_transpose_is_no_time_reversal():
    P = np.array([[0.1, 0.6, 0.3], [0.2, 0.7, 0.1], [0.5, 0.4, 0.1]])
    with pytest.raises(AssertionError):
        check_reversal(P.T.copy(), P)
    with pytest.raises(AssertionError):
        check_reversal(P, P)
    with pytest.raises(DomainError, match="stationary law"):
        mk.time_reversal(P, np.full(3, 1 / 3))
    with pytest.raises(DomainError, match=r"pi\[0\] = 0"):
        mk.time_reversal(np.array([[0.5, 0.5], [0.0, 1.0]]))


@given(transitions())
def test_entropy_production_is_the_divergence_of_the_flow_from_its_reversal(P):
    flow = mk.stationary(P)[:, None] * P
    forth, back = flow.ravel() / flow.sum(), flow.T.ravel() / flow.sum()
    produced = np.array(mk.entropy_production(P))
    assert produced >= 0
    assert_close(produced, np.array(mk.relative_entropy(forth, back)), "solve", n=P.size, scale=1.0)


def test_entropy_production_in_closed_form():
    for q in (0.6, 0.9):
        exact = (2 * q - 1) * math.log(q / (1 - q))
        assert_close(np.array(mk.entropy_production(rotation(q))), np.array(exact), "reduction", n=9)
        by_rates = np.array(mk.entropy_production(mk.generator_from_transition(rotation(q), holding_time=2.0)))
        assert_close(by_rates, np.array(exact / 2), "reduction", n=9)
    assert mk.entropy_production(rotation(0.5)) == 0
    assert mk.entropy_production(one_way_ring(1000, 0.9)) > 0


def check_data_processing(move, p, q, n):
    """What two laws differ by cannot grow when both take the same step."""
    slack = tolerance("reduction", n=4 * n)
    assert mk.relative_entropy(move(p), move(q)) <= mk.relative_entropy(p, q) + slack
    assert mk.total_variation(move(p), move(q)) <= mk.total_variation(p, q) + slack


@given(transitions("law", "law"))
def test_data_processing(case):
    P, p, q = case
    check_data_processing(lambda z: mk.evolve_density(P, z), p, q, len(p))


def test_the_entropy_relative_to_equilibrium_falls():
    P, p = rotation(0.8), np.array([0.9, 0.1, 0.0])
    entropies = [mk.relative_entropy(p, mk.stationary(P))]
    for _ in range(20):
        p = mk.evolve_density(P, p)
        entropies.append(mk.relative_entropy(p / p.sum(), mk.stationary(P)))
    assert np.all(np.diff(entropies) < 0)


def test_the_anti_diffusion_step_does_not_process_data():
    P = np.array([[0.9, 0.1], [0.1, 0.9]])
    p, q = np.array([0.6, 0.4]), np.array([0.4, 0.6])
    check_data_processing(lambda z: mk.evolve_density(P, z), p, q, 2)
    with pytest.raises(AssertionError):
        check_data_processing(lambda z: mk.backward_step_matrix(P).T @ z, p, q, 2)


def test_relative_entropy():
    p, q = np.array([0.5, 0.5, 0.0]), np.array([0.25, 0.5, 0.25])
    assert_close(np.array(mk.relative_entropy(p, q)), np.array(0.5 * math.log(2)))
    assert mk.relative_entropy(q, p) == math.inf and mk.relative_entropy(p, p) == 0
    near = np.array([0.5 + 1e-9, 0.5 - 1e-9])
    half = np.array([0.5, 0.5])
    assert_close(np.array(mk.relative_entropy(near, half)), np.array(2e-18), "solve", n=2, cond=1e9)
    assert_close(np.array(mk.total_variation(p, q)), np.array(0.25))


RATES = np.array([[1.0, 2, 3], [2, 4, 5], [3, 5, 6]]) / np.array([[1e-160], [1e-10], [1e160]])


@pytest.mark.parametrize(
    "P",
    [
        csr_array(downhill(300, 0.7)),
        csr_array(downhill(900, 0.3)),
        csr_array(RATES),
        lazy_cycle(60),
        one_way_ring(60, 0.6),
        csr_array(block_diag([row_normalized(np.ones((3, 3))), lazy_cycle(7), np.ones((1, 1))])),
        csr_array(np.array([[0.5, 0.5], [0.0, 1.0]])),
        csr_array(np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [1.0, 0.0, 0.0]])),
        csr_array(np.array([[0.0, 0.5, 0.5], [1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])),
    ],
    ids=["downhill", "steep", "rates", "cycle", "ring", "three pieces", "one way", "one way up", "one way down"],
)
def test_compiled_and_portable_balance_are_one(P, monkeypatch):
    portable = balance(P)
    monkeypatch.setattr("nlmodel.markov.balance.COMPILED_FROM", 0)
    compiled = balance(P)
    assert (compiled.holds, compiled.components) == (portable.holds, portable.components)
    if portable.log_measure is None:
        assert compiled.log_measure is None and compiled.gap == math.inf
        return
    size = 1.0 + float(np.abs(portable.log_measure).max())
    assert_close(compiled.log_measure, portable.log_measure, "reduction", n=P.shape[0], scale=size)
    assert_close(np.array(compiled.gap), np.array(portable.gap), "reduction", n=P.shape[0], scale=size)


def test_the_compiled_form_sees_one_changed_entry(monkeypatch):
    monkeypatch.setattr("nlmodel.markov.balance.COMPILED_FROM", 0)
    for P in (lazy_cycle(60), csr_array(RATES)):
        assert balance(P).holds
        P.data[1] *= 1 + 1e-9
        assert not balance(P).holds
