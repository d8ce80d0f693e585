"""What passes as a transition matrix and as a generator, and what must not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_matrix, csr_array, csr_matrix, eye_array

import nlmodel.markov as mk
from nlmodel.errors import DomainError
from nlmodel.operators import NonlocalOperator
from nlmodel.testing import tolerance
from tests.markov.chains import affinities, lazy_cycle, one_way_ring, row_normalized


@given(affinities())
def test_normalised_rows_pass(W):
    P = row_normalized(W)
    assert mk.is_transition_matrix(P) and mk.is_transition_matrix(csr_array(P))
    assert mk.is_transition_matrix(P.astype(np.float32))
    assert mk.is_generator(mk.generator(W)) and mk.is_generator(csr_array(mk.generator(W)))
    assert not mk.is_transition_matrix(mk.generator(W)) and not mk.is_generator(P)


@given(affinities(), st.integers(0, 24), st.floats(1e-15, 1e-3))
def test_any_negative_entry_is_seen(W, place, size):
    P = row_normalized(W)
    i, j = divmod(place % P.size, len(P))
    P[i, j], P[i, (j + 1) % len(P)] = -size, P[i, (j + 1) % len(P)] + P[i, j] + size
    assert not mk.is_transition_matrix(P)
    with pytest.raises(DomainError, match=rf"P\[{i}, {j}\] = -"):
        mk.check_transition_matrix(P)


def test_a_generator_with_a_negative_rate_is_rejected():
    Q = np.array([[-1.0, 2.0, -1.0], [0.5, -1.0, 0.5], [1.0, 1.0, -2.0]])
    for form in (Q, csr_array(Q), csr_matrix(Q), coo_matrix(Q)):
        assert not mk.is_generator(form)
        with pytest.raises(DomainError, match=r"Q\[0, 2\] = -1.0"):
            mk.check_generator(form)


def test_a_probability_of_minus_5e_minus_9_is_rejected():
    P = np.array([[1 + 5e-9, -5e-9], [0.5, 0.5]])
    assert np.allclose(P, np.abs(P)) and abs(P.sum(axis=1) - 1).max() <= tolerance("reduction", n=2)
    assert not mk.is_transition_matrix(P)
    assert not mk.is_transition_matrix(csr_array(P))
    assert not mk.is_transition_matrix(P, tol=1.0)


@pytest.mark.parametrize("error", [1e-6, -1e-6, 1e-12])
def test_row_sums_that_are_off_are_rejected(error):
    P = np.array([[0.5, 0.5 + error], [0.3, 0.7]])
    assert not mk.is_transition_matrix(P)
    with pytest.raises(DomainError, match="row 0 sums to"):
        mk.check_transition_matrix(P)
    assert mk.is_transition_matrix(P, tol=2 * abs(error))
    Q = np.array([[-0.5, 0.5 + error], [0.3, -0.3]])
    assert not mk.is_generator(Q) and mk.is_generator(Q, tol=4 * abs(error))


def test_row_sums_are_judged_row_by_row():
    Q = np.array([[-1e8, 1e8], [1e-8, -1.5e-8]])
    assert abs(Q.sum(axis=1)).max() < tolerance("reduction", n=2, scale=1e8)  # lost among the fast rates
    assert not mk.is_generator(Q)


def test_the_message_recognises_a_column_stochastic_matrix():
    P = np.array([[0.9, 0.5], [0.1, 0.5]])
    with pytest.raises(DomainError, match="columns sum to 1: pass the transpose"):
        mk.check_transition_matrix(P)


def test_sparse_and_dense_agree_and_inputs_stay_as_they_are():
    P = csr_matrix(([0.5, 0.25, 0.25, 0.0, 1.0], ([0, 0, 0, 0, 1], [0, 1, 1, 0, 0])), shape=(2, 2))
    data, indices = P.data.copy(), P.indices.copy()
    found = mk.check_transition_matrix(P)
    assert np.array_equal(found.toarray(), [[0.5, 0.5], [1.0, 0.0]])
    assert np.array_equal(P.data, data) and np.array_equal(P.indices, indices)


def test_absorbing_states_pass():
    assert mk.is_generator(np.zeros((2, 2))) and mk.is_generator(csr_array((3, 3)))
    assert mk.is_transition_matrix(np.eye(3)) and mk.is_transition_matrix(eye_array(3))
    assert not mk.is_transition_matrix(csr_array((3, 3)))


def test_classes_and_period():
    P = np.array([[0.5, 0.5, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]])
    assert [list(c) for c in mk.recurrent_classes(P)] == [[1, 2], [3]]
    assert mk.period(P[:3, :3]) == 2 and mk.period(lazy_cycle(6)) == 1
    assert mk.period(one_way_ring(6)) == 2 and mk.period(one_way_ring(7)) == 1 and mk.period(one_way_ring(6, 1.0)) == 6
    with pytest.raises(DomainError, match="2 recurrent classes"):
        mk.period(P)
    with pytest.raises(DomainError, match="probabilities P_ij must be >= 0"):
        mk.period(mk.generator(np.ones((2, 2))))
    swap = NonlocalOperator.from_affinity(np.array([[0.0, 1.0], [1.0, 0.0]]))
    assert mk.period(swap) == 2 and mk.period(NonlocalOperator.from_affinity(np.ones((2, 2)))) == 1
