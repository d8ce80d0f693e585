"""Spectral gap: closed forms, dense against sparse, decay in the weighted norm."""

import numpy as np
import pytest
from hypothesis import given
from scipy.sparse import block_diag, csr_array, diags_array, eye_array, kron

import nlmodel.markov as mk
from nlmodel.errors import DomainError, NotReversibleError
from nlmodel.markov.lanczos import smallest_ritz
from nlmodel.markov.smallest import CERTAINTY, _positive_factors, smallest_eigenvalue
from nlmodel.markov.symmetric import symmetric_form
from nlmodel.spectrum.lanczos import first_vector
from nlmodel.testing import assert_close, tolerance
from tests.markov.chains import affinities, ehrenfest, lazy_cycle, row_normalized


def check_gap(found, values):
    """Against all eigenvalues, increasing."""
    expected = np.array([1 - values[-2], values[-2], values[0], 1 - max(abs(values[-2]), abs(values[0]))])
    got = np.array([found.gap, found.lambda_2, found.lambda_min, found.absolute_gap])
    assert_close(got, expected, "solve", n=len(values), scale=1.0)


@given(affinities(symmetric=True, most=6))
def test_gap_from_all_eigenvalues(W):
    P = row_normalized(W)
    values = np.sort(np.linalg.eigvals(P).real)
    check_gap(mk.spectral_gap(P), values)
    modulus = np.array(mk.second_eigenvalue_modulus(P))
    assert_close(modulus, np.array(max(abs(values[0]), abs(values[-2]))), "solve", n=len(P), cond=100.0, scale=1.0)


@pytest.mark.parametrize("N", [1, 2, 7, 30])
def test_ehrenfest(N):
    values = np.sort(1 - 2 * np.arange(N + 1) / N)
    check_gap(mk.spectral_gap(ehrenfest(N)), values)
    assert mk.spectral_gap(mk.lazy(ehrenfest(N), 0.5)).absolute_gap > tolerance("solve", n=N)
    with pytest.raises(AssertionError):  # control: the urns picked with the wrong rates
        check_gap(mk.spectral_gap(mk.lazy(ehrenfest(N), 0.9)), values)


def test_second_modulus_differs_from_lambda_2_on_a_periodic_chain():
    found = mk.spectral_gap(ehrenfest(6))
    assert found.lambda_min == pytest.approx(-1, abs=tolerance("solve", n=7))
    assert found.absolute_gap <= tolerance("solve", n=7) < found.gap
    assert mk.second_eigenvalue_modulus(ehrenfest(6)) == pytest.approx(1, abs=tolerance("solve", n=7))


@pytest.mark.parametrize("M", [513, 2000, 20000])
def test_a_large_sparse_ring(M):
    P = lazy_cycle(M)
    found = mk.spectral_gap(P)
    exact = np.sin(np.pi / M) ** 2
    assert_close(np.array(found.gap), np.array(exact), "solve", n=10)  # relative, although the gap is 1e-8
    lowest = np.cos(np.pi * (M // 2) / M) ** 2
    assert abs(found.lambda_min - lowest) <= CERTAINTY
    assert mk.spectral_gap(P, absolute=False) == mk.SpectralGap(found.gap, found.lambda_2, None, None)


def test_a_large_sparse_grid_against_dense():
    n, rng = 24, np.random.default_rng(2)
    line = diags_array([rng.random(n - 1)], offsets=[1], shape=(n, n))
    line = line + line.T
    P = row_normalized(csr_array(kron(line, eye_array(n)) + kron(eye_array(n), line)))  # bipartite: lambda_min = -1
    values = np.sort(np.linalg.eigvals(P.toarray()).real)
    found = mk.spectral_gap(P)
    assert abs(found.lambda_min + 1) <= CERTAINTY and found.absolute_gap <= CERTAINTY
    assert abs(found.gap - (1 - values[-2])) <= tolerance("solve", n=n * n)
    check_gap(mk.spectral_gap(mk.lazy(P, 0.5)), (1 + values) / 2)


def test_the_smallest_eigenvalue_is_not_taken_for_its_neighbour():
    values = np.concatenate([[0.0], 1e-7 * np.arange(1, 40), np.linspace(0.5, 1, 600)])
    S = csr_array(diags_array(values))
    assert abs(smallest_eigenvalue(S)) <= CERTAINTY


def test_the_error_of_a_ritz_value_is_bounded():
    values = np.concatenate([[0.0], np.linspace(0.2, 1.0, 400)])
    for steps in (12, 16, 20, 24):
        found = smallest_ritz(lambda x: values * x, 401, steps=steps)
        assert 0 < found.value <= found.residual
        assert found.value > found.residual**2 / 5  # control: five times less is no bound


def test_the_pivots_tell_both_sides_of_the_smallest_eigenvalue():
    form = symmetric_form(mk.check_transition_matrix(lazy_cycle(601)))
    lowest = np.cos(np.pi * 300 / 601) ** 2
    assert _positive_factors(form.matrix, lowest - CERTAINTY) is not None
    assert _positive_factors(form.matrix, lowest + CERTAINTY) is None


def test_a_mode_that_a_few_steps_of_lanczos_cannot_see_is_found():
    size = 602
    a, b = first_vector(2)
    hidden = 0.9 * np.outer([a, b], [a, b])  # 0 on what is orthogonal to the first vector
    S = csr_array(block_diag([hidden, diags_array(np.linspace(0.5, 1.0, size - 2))]))
    assert smallest_ritz(lambda x: S @ x, size, steps=8).value > 0.49  # control
    assert abs(smallest_eigenvalue(S)) <= CERTAINTY


def test_chains_in_pieces_have_gap_zero():
    block = np.array([[0.5, 0.5], [0.25, 0.75]])
    found = mk.spectral_gap(np.kron(np.eye(2), block))
    assert found.gap == 0 and found.absolute_gap == 0 and found.lambda_2 == 1
    large = csr_array(kron(eye_array(300), block))
    assert mk.spectral_gap(large).gap == 0
    assert abs(mk.spectral_gap(large).lambda_min - 0.25) <= CERTAINTY


def test_chains_that_are_not_reversible_are_refused_with_advice():
    P = np.array([[0.1, 0.6, 0.3], [0.2, 0.7, 0.1], [0.5, 0.4, 0.1]])
    with pytest.raises(NotReversibleError, match="second_eigenvalue_modulus"):
        mk.spectral_gap(P)
    with pytest.raises(DomainError, match="Kolmogorov cycle gap"):
        mk.spectral_gap(csr_array(P))
    assert mk.spectral_gap((P + mk.time_reversal(P)) / 2).gap > 0  # the advice works
    rotation = np.roll(np.eye(3), 1, axis=1)
    modulus = mk.second_eigenvalue_modulus(mk.lazy(rotation, 0.5))
    assert_close(np.array(modulus), np.array(0.5), "solve", n=3)  # |(1 + exp(2 pi i / 3)) / 2|


def check_decay(beta, P, f, n):
    """||P^n f - pi f||_pi <= beta^n ||f - pi f||_pi."""
    pi = mk.stationary(P)
    centred = f - pi @ f
    start, end = (np.sqrt(pi @ g**2) for g in (centred, np.linalg.matrix_power(P, n) @ centred))
    assert end <= beta**n * start + tolerance("solve", n=len(P), scale=np.abs(f).max())


@given(affinities("field", symmetric=True))
def test_decay_in_the_weighted_norm(case):
    P, f = row_normalized(case[0]), case[1]
    check_decay(1 - mk.spectral_gap(P).absolute_gap, P, f, 3)


def test_lambda_2_alone_does_not_bound_the_decay():
    P = np.array([[0.1, 0.9], [0.9, 0.1]])  # lambda_2 = lambda_min = -0.8
    check_decay(1 - mk.spectral_gap(P).absolute_gap, P, np.array([1.0, -1.0]), 1)
    with pytest.raises(AssertionError):
        check_decay(max(mk.spectral_gap(P).lambda_2, 0), P, np.array([1.0, -1.0]), 1)


def test_the_gap_of_a_generator_through_its_uniformised_chain():
    Q = np.array([[-2.0, 2.0], [0.5, -0.5]])
    assert_close(np.array(2.0 * mk.spectral_gap(mk.uniformized(Q)).gap), np.array(2.5), "solve", n=2)


def test_result_in_one_line():
    assert repr(mk.spectral_gap(ehrenfest(1), absolute=False)).startswith("SpectralGap(gap=2.0, lambda_2=-1.0")
