"""Three meanings of "reverse" that must not be confused."""

import math

import numpy as np
import pytest
from hypothesis import given
from scipy.sparse import csr_array, issparse

import nlmodel.markov as mk
from nlmodel.errors import DomainError
from nlmodel.testing import assert_close, tolerance
from tests.markov.chains import affinities, lazy_cycle, row_normalized, transitions


def gaussian_chain(M, width=0.1):
    x = (np.arange(M) + 0.5) / M
    return row_normalized(np.exp(-((x[:, None] - x) ** 2) / (2 * width**2)))


def check_backward_step(B, P):
    """Eigenvalues 2 - lambda, rows that sum to 1."""
    assert_close(B + P, 2 * np.eye(len(P)), "elementwise")
    assert_close(B.sum(axis=1), np.ones(len(P)), "reduction", n=len(P), scale=2.0)


@given(transitions())
def test_backward_step(P):
    check_backward_step(mk.backward_step_matrix(P), P)
    found = mk.reverse_meanings(P)
    assert 1 - tolerance("solve", n=len(P), cond=100) <= found.backward_growth
    assert found.backward_growth <= 3 + tolerance("solve", n=len(P), cond=100)


def test_the_backward_step_is_neither_the_inverse_nor_the_time_reversal():
    P = np.array([[0.1, 0.6, 0.3], [0.2, 0.7, 0.1], [0.5, 0.4, 0.1]])
    check_backward_step(mk.backward_step_matrix(P), P)
    for other in (np.linalg.inv(P), mk.time_reversal(P)):
        with pytest.raises(AssertionError):
            check_backward_step(other, P)
    remainder = np.eye(3) - (np.eye(3) - P) @ (np.eye(3) - P)
    assert_close(mk.backward_step_matrix(P) @ P, remainder, "reduction", n=12, scale=2.0)
    assert not mk.is_transition_matrix(mk.backward_step_matrix(P))


@given(affinities(symmetric=True))
def test_a_positive_semidefinite_chain_grows_by_two_at_most(W):
    P = row_normalized(W @ W.T)
    found = mk.reverse_meanings(P)
    slack = tolerance("solve", n=len(P), cond=10.0)
    assert found.backward_growth <= 2 + slack
    assert found.reversal_gap <= slack


def test_two_states_in_closed_form():
    a, b = 0.3, 0.1
    P = np.array([[1 - a, a], [b, 1 - b]])
    found = mk.reverse_meanings(P)
    assert_close(np.array(found.backward_growth), np.array(1 + a + b), "solve", n=2)
    assert found.reversal_gap <= tolerance("reduction", n=4)
    assert_close(np.array(found.inverse_condition), np.array(np.linalg.norm(np.linalg.inv(P), 2)), "solve", n=2)
    flip = mk.reverse_meanings(np.array([[0.0, 1.0], [1.0, 0.0]]))
    assert_close(np.array([flip.backward_growth, flip.inverse_condition]), np.array([3.0, 1.0]), "solve", n=2)


def test_the_inverse_is_ill_posed_and_the_backward_step_is_not():
    found = mk.reverse_meanings(gaussian_chain(60))
    assert found.inverse_condition > 1e15
    assert found.backward_growth <= 2 + tolerance("solve", n=60)
    assert found.reversal_gap <= tolerance("solve", n=60)
    growths = [mk.inverse_condition(gaussian_chain(M)) for M in (5, 10, 20)]
    assert growths[0] < growths[1] / 10 < growths[2] / 1000  # unbounded under refinement
    assert mk.inverse_condition(np.full((2, 2), 0.5)) > 1e15 or mk.inverse_condition(np.full((2, 2), 0.5)) == math.inf


def test_a_rotation_differs_from_its_reversal():
    rotation = np.roll(np.eye(3), 1, axis=1)
    found = mk.reverse_meanings(mk.lazy(rotation, 0.5))
    assert_close(np.array(found.reversal_gap), np.array(0.5))
    assert_close(np.array(found.backward_growth), np.array(abs(1.5 - 0.5 * np.exp(2j * np.pi / 3))), "solve", n=3)
    assert repr(found).startswith("ReverseMeanings(backward_growth=")


def test_sparse():
    step = mk.backward_step_matrix(lazy_cycle(1000))
    assert issparse(step) and np.all(step.diagonal() == 1.5)
    assert_close(np.array(mk.inverse_condition(csr_array(np.eye(4)))), np.array(1.0))
    with pytest.raises(DomainError, match="a sparse chain of 1000 states"):
        mk.inverse_condition(lazy_cycle(1000))
    with pytest.raises(DomainError, match="a sparse chain of 1000 states"):
        mk.reverse_meanings(lazy_cycle(1000))
