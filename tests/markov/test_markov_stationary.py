"""The stationary law: closed forms, tiny entries, reducible chains, sparse chains."""

import mpmath
import numpy as np
import pytest
from hypothesis import given
from scipy.sparse import csr_array, random_array
from scipy.special import comb

import nlmodel.markov as mk
from nlmodel.errors import DomainError
from nlmodel.markov import stationary as stationary_function
from nlmodel.markov.stationary import eliminate
from nlmodel.testing import assert_close, tolerance
from tests.markov.chains import affinities, downhill, ehrenfest, one_way_ring, row_normalized, transitions


def check_stationary(pi, P):
    assert np.min(pi) > 0
    assert_close(pi @ P, pi, "solve", n=len(P), scale=1.0)
    assert_close(np.sum(pi, keepdims=True), np.ones(1), "reduction", n=len(P))


@given(transitions())
def test_the_law_is_stationary(P):
    check_stationary(mk.stationary(P), P)


def test_the_same_law_in_every_form():
    P = row_normalized(np.random.default_rng(4).random((6, 6)))
    pi = mk.stationary(P)
    assert_close(mk.stationary(mk.generator_from_transition(P)), pi, "solve", n=len(P))
    assert_close(mk.stationary(csr_array(P)), pi, "exact")
    assert_close(np.exp(mk.stationary(P, log=True)), pi, "elementwise")


def test_neither_the_uniform_law_nor_the_right_eigenvector_is_stationary():
    P = np.array([[0.1, 0.6, 0.3], [0.2, 0.7, 0.1], [0.5, 0.4, 0.1]])
    check_stationary(mk.stationary(P), P)
    for wrong in (np.full(3, 1 / 3), mk.stationary(mk.lazy_completion(P.T / 2))):
        with pytest.raises(AssertionError):
            check_stationary(wrong, P)


@given(affinities(symmetric=True))
def test_a_symmetric_affinity_gives_its_degree(W):
    degree = W.sum(axis=1)
    assert_close(mk.stationary(row_normalized(W)), degree / degree.sum(), "reduction", n=len(W))


def test_ehrenfest_is_binomial():
    N = 40
    exact = comb(N, np.arange(N + 1)) * 0.5**N
    relative = mk.stationary(ehrenfest(N)) / exact
    assert_close(relative, np.ones(N + 1), "reduction", n=N, scale=N * np.log(2))


def exact_law(P):
    """From mpmath at 500 digits, the diagonal made exact."""
    with mpmath.workdps(500):
        M = len(P)
        A = mpmath.matrix(P.tolist())
        for i in range(M):
            A[i, i] = -mpmath.fsum(A[i, j] for j in range(M) if j != i)
        for i in range(M):
            A[i, M - 1] = 1
        pi = mpmath.lu_solve(A.T, mpmath.matrix([0] * (M - 1) + [1]))
        return list(pi)


def relative_errors(pi, exact):
    with mpmath.workdps(50):
        return np.array([float(abs(p / e - 1)) for p, e in zip(pi, exact, strict=True)])


def test_tiny_entries_of_a_reversible_chain():
    P = downhill(30, 1e-7)  # the law falls to 1e-203
    pi, exact = mk.stationary(P), exact_law(P)
    assert float(exact[-1]) < 1e-200
    assert np.max(relative_errors(pi, exact)) <= tolerance("reduction", n=2 * 30, scale=np.log(1e203) / 30)
    deeper = downhill(60, 1e-7)
    logs = mk.stationary(deeper, log=True)
    assert mk.stationary(deeper)[-1] == 0 and logs[-1] < -900  # beyond float64, but not beyond its logarithm
    assert_close(np.diff(logs), np.full(59, np.log(1e-7)), "reduction", n=8, scale=1000.0)


def leaky_ring(M=8):
    """Not reversible, with a law that spans 30 orders of magnitude."""
    P = downhill(M, 1e-5)
    P[M - 1, 0] += 1e-3
    P[M - 1, M - 1] -= 1e-3
    P[2, 6], P[2, 2] = 1e-19, P[2, 2] - 1e-19
    return P


def test_tiny_entries_of_a_chain_that_is_not_reversible():
    P = leaky_ring()
    assert not mk.is_reversible(P)
    exact = exact_law(P)
    assert float(min(exact)) < 1e-28
    assert np.max(relative_errors(mk.stationary(P), exact)) <= tolerance("solve", n=len(P))
    by_eigenvector = np.real(np.linalg.eig(P.T)[1][:, np.argmax(np.real(np.linalg.eigvals(P.T)))])
    assert np.max(relative_errors(by_eigenvector / by_eigenvector.sum(), exact)) > 0.1  # control


def test_elimination_agrees_with_the_closed_form():
    P = downhill(12, 1e-3)
    law = eliminate(P)
    assert_close(law / law.sum() / mk.stationary(P), np.ones(12), "solve", n=12)


def test_transient_states_have_no_mass():
    P = np.array([[0.2, 0.5, 0.3], [0.0, 0.4, 0.6], [0.0, 0.9, 0.1]])
    for form in (P, csr_array(P)):
        pi = mk.stationary(form)
        assert pi[0] == 0 and np.isneginf(mk.stationary(form, log=True)[0])
        assert_close(pi[1:], np.array([0.6, 0.4]), "reduction", n=4)


@pytest.mark.parametrize("form", [np.asarray, csr_array])
def test_several_classes_are_counted(form):
    blocks = np.kron(np.eye(3), np.full((2, 2), 0.5))
    with pytest.raises(DomainError, match="3 recurrent classes"):
        mk.stationary(form(blocks))
    leaking = np.vstack([np.append(blocks[0] * 0.5, 0.5), np.column_stack([blocks[1:], np.zeros(5)]), np.eye(7)[6]])
    with pytest.raises(DomainError, match="3 recurrent classes"):
        mk.stationary(form(leaking))
    with pytest.raises(DomainError, match="4 recurrent classes"):
        mk.stationary(np.eye(4))
    with pytest.raises(DomainError, match="2 recurrent classes"):
        mk.stationary(csr_array((2, 2)))


def test_one_state():
    assert np.array_equal(mk.stationary(np.ones((1, 1))), [1.0])
    assert np.array_equal(mk.stationary(np.zeros((1, 1))), [1.0])


def test_large_sparse_chains():
    M = 700
    ring = one_way_ring(M)
    assert_close(mk.stationary(ring), np.full(M, 1 / M), "solve", n=M)
    rng = np.random.default_rng(5)
    W = random_array((M, M), density=0.01, rng=rng, data_sampler=lambda size: rng.random(size)) + ring
    P = row_normalized(csr_array(W))
    assert not mk.is_reversible(P)
    assert_close(mk.stationary(P), mk.stationary(P.toarray()), "solve", n=M)
    symmetric = row_normalized(csr_array(W + W.T))
    degree = (W + W.T).sum(axis=1)
    assert_close(mk.stationary(symmetric), degree / degree.sum(), "reduction", n=M)


def test_the_rarely_visited_state_is_no_trap_for_the_sparse_solver():
    M = 600
    P = csr_array(downhill(M, 0.9))
    P = csr_array(P + csr_array(([1e-6, -1e-6], ([0, 0], [2, 0])), shape=(M, M)))
    assert not mk.is_reversible(P)
    pi, dense = mk.stationary(P), mk.stationary(P.toarray())
    assert_close(pi, dense, "solve", n=M)
    assert np.min(dense) < 1e-27


def test_single_precision():
    P = row_normalized(np.random.default_rng(0).random((5, 5))).astype(np.float32)
    pi = mk.stationary(P)
    assert pi.dtype == np.float32
    assert_close(pi, mk.stationary(row_normalized(P.astype(float))).astype(np.float32), "solve", n=5)
    assert stationary_function is mk.stationary
