"""Operators, other array libraries, precision, sparse that stays sparse, inputs left alone."""

import array_api_strict
import numpy as np
import pytest
import torch
from scipy.sparse import bsr_array, csc_array, csr_array, csr_matrix, issparse

import nlmodel.markov as mk
from nlmodel import NonlocalOperator
from nlmodel.errors import DomainError
from nlmodel.kernels import Gaussian, TopHat, TruncatedGaussian
from nlmodel.markov.matrix import DENSE_STATES
from nlmodel.testing import assert_close
from tests.markov.chains import lazy_cycle, one_way_ring, row_normalized


POINTS = np.random.default_rng(3).random((12, 2))
OP = NonlocalOperator.from_points(POINTS, Gaussian(0.3))


def test_an_operator_stands_for_its_averaging_matrix_or_its_generator():
    K, L = OP.averaging.to_dense(), OP.to_dense()
    assert mk.is_transition_matrix(OP) and mk.is_generator(OP) and mk.is_reversible(OP)
    degree = OP.degree / OP.degree.sum()
    assert_close(mk.stationary(OP), degree, "solve", n=12)
    assert mk.spectral_gap(OP) == mk.spectral_gap(K) and mk.mixing_time(OP) == mk.mixing_time(K)
    assert mk.dobrushin_coefficient(OP) == mk.dobrushin_coefficient(K)
    assert_close(mk.generator(OP), L, "reduction", n=12, scale=1.0)
    assert_close(mk.generator_from_transition(OP), L, "reduction", n=12, scale=1.0)
    z = np.random.default_rng(0).random(12)
    assert_close(mk.master_equation_rhs(OP, z), L.T @ z, "reduction", n=24, scale=1.0)
    assert_close(mk.evolve_observable(OP, z), OP.average(z), "reduction", n=12, scale=1.0)
    assert_close(mk.propagate(OP, z, 0.5), mk.propagate(L, z, 0.5), "solve", n=12, scale=1.0)
    assert mk.JumpProcess(OP).size == 12


def test_rates_of_an_operator_that_hardly_moves_keep_their_digits():
    far = NonlocalOperator.from_points(np.array([[0.0], [1.0], [2.0]]), Gaussian(0.13))
    assert np.max(np.abs(far.diagonal() - 1)) < 1e-12
    assert mk.is_generator(far)
    assert not mk.is_generator(far.to_dense())  # K_ii - 1 has lost its digits
    assert mk.is_reversible(far)
    assert_close(mk.stationary(far), far.degree / far.degree.sum(), "reduction", n=8)


def test_operators_without_unit_rows():
    raw = NonlocalOperator.from_points(POINTS, Gaussian(0.3), normalize="none")
    assert mk.is_generator(raw) and not mk.is_transition_matrix(raw)
    assert_close(mk.stationary(raw), np.full(12, 1 / 12), "solve", n=12)
    symmetric = NonlocalOperator.from_points(POINTS, Gaussian(0.3), normalize="symmetric")
    assert not mk.is_transition_matrix(symmetric) and not mk.is_generator(symmetric)
    with pytest.raises(DomainError, match="every row of Q must sum to 0"):
        mk.check_generator(symmetric)


def test_sparse_operators_stay_sparse():
    op = NonlocalOperator.from_points(np.linspace(0, 1, 900)[:, None], TopHat(0.01), storage="sparse")
    assert issparse(mk.check_transition_matrix(op)) and issparse(mk.check_generator(op))
    degree = op.degree / op.degree.sum()
    assert_close(mk.stationary(op), degree, "solve", n=900)
    assert 0 < mk.spectral_gap(op).gap < 0.01


def test_operators_on_grids_are_unfolded_only_when_small():
    small = NonlocalOperator.on_grid(32, TopHat(0.2), 1 / 32, normalize="row")
    assert np.min(small.averaging.to_dense()) < 0  # by the rounding of the transforms
    assert mk.is_transition_matrix(small) and mk.is_generator(small) and mk.is_reversible(small)
    assert_close(mk.stationary(small), np.full(32, 1 / 32), "solve", n=32)
    assert_close(mk.generator(small), small.to_dense(), "reduction", n=32, scale=1.0)
    free = NonlocalOperator.on_grid(32, TruncatedGaussian(0.3, 0.1), 1 / 32, normalize="row", boundary="free")
    assert mk.is_reversible(free) and mk.spectral_gap(free).gap > 0
    large = NonlocalOperator.on_grid((128, 128), TopHat(0.2, dim=2), 1 / 128, normalize="row")
    with pytest.raises(DomainError, match="no stored matrix"):
        mk.stationary(large)


def test_other_libraries_come_back_as_numpy():
    P = row_normalized(np.random.default_rng(1).random((4, 4)))
    for other in (torch.asarray(P), torch.asarray(P).requires_grad_(), array_api_strict.asarray(P)):
        assert_close(mk.stationary(other), mk.stationary(P), "exact")
        assert mk.is_transition_matrix(other)
    z = torch.full((4,), 0.25, dtype=torch.float64)
    assert_close(mk.evolve_density(torch.asarray(P), z), mk.evolve_density(P, np.full(4, 0.25)), "exact")


@pytest.mark.parametrize("form", [csr_matrix, csc_array, bsr_array, csr_array])
def test_every_sparse_format(form):
    P = row_normalized(np.random.default_rng(2).random((5, 5)))
    sparse = form(P)
    before = sparse.copy()
    assert_close(mk.stationary(sparse), mk.stationary(P), "exact")
    assert mk.mixing_time(sparse, 1e-6) == mk.mixing_time(P, 1e-6)
    assert_close(mk.time_reversal(sparse).toarray(), mk.time_reversal(P), "elementwise")
    assert np.array_equal(sparse.toarray(), before.toarray())


def test_single_precision_stays_single():
    W = np.random.default_rng(4).random((6, 6)).astype(np.float32)
    P = (W / W.sum(axis=1, keepdims=True)).astype(np.float32)
    z = np.full((6, 2), 1 / 6, dtype=np.float32)
    for made in (
        mk.generator(W),
        mk.generator(W, weights=np.ones(6, dtype=np.float32)),
        mk.generator_from_transition(P),
        mk.lazy(P, 0.3),
        mk.lazy_completion(P / 2),
        mk.backward_step_matrix(P),
        mk.time_reversal(P),
        mk.stationary(P),
        mk.stationary(P, log=True),
        mk.evolve_density(P, z),
        mk.evolve_observable(P, z),
        mk.master_equation_rhs(mk.generator(W), z),
        mk.euler_step(mk.generator(W), z, 0.01),
        mk.propagate(mk.generator(W), z, 0.5),
    ):
        assert made.dtype == np.float32
    assert mk.is_transition_matrix(mk.time_reversal(P)) and mk.is_generator(mk.time_reversal(mk.generator(W)))
    assert mk.is_transition_matrix(mk.lazy(csr_array(P), 0.3)) and mk.is_generator(mk.generator(csr_array(W)))


def test_sparse_chains_above_the_limit_are_never_unfolded(monkeypatch, rng):
    def unfolded(*_, **__):
        raise AssertionError("a large sparse matrix was unfolded")

    M = DENSE_STATES + 200
    P, turning = lazy_cycle(M), one_way_ring(M)
    Q, law = mk.generator_from_transition(P), np.full(M, 1 / M)
    for form in (csr_array, csc_array, csr_matrix):
        monkeypatch.setattr(form, "toarray", unfolded)
        monkeypatch.setattr(form, "todense", unfolded)
    with pytest.raises(AssertionError):
        P.toarray()
    for made in (
        mk.generator(P, weights=law),
        mk.generator_from_transition(P),
        mk.lazy(P, 0.5),
        mk.lazy_completion(0.5 * P),
        mk.uniformized(Q),
        mk.time_reversal(turning),
        mk.backward_step_matrix(P),
        mk.check_transition_matrix(P),
        mk.check_generator(Q),
    ):
        assert issparse(made)
    for A in (P, Q, turning):
        assert np.max(np.abs(mk.stationary(A) - law)) < 1e-12
    assert mk.is_transition_matrix(P) and mk.is_generator(Q) and mk.is_reversible(P) and not mk.is_reversible(turning)
    assert mk.spectral_gap(P).gap > 0 and mk.mixing_time(P) > 1000 and mk.mixing_time(P, starts=[0], eps=0.9) < 1000
    assert mk.mixing_time_bounds(P).lower > 0 and mk.worst_distance(P, 2, starts=[5]) > 0.9
    assert mk.entropy_production(turning) > 1 and mk.detailed_balance_gap(P) < 1e-9
    assert mk.kolmogorov_cycle_gap(P) < 1e-9 and mk.dobrushin_coefficient(P) == 1 and mk.birkhoff_bound(P) == 1
    assert len(mk.recurrent_classes(P)) == 1 and mk.period(turning) == 2
    mk.propagate(Q, law, 1.0), mk.euler_step(Q, law, 0.5), mk.evolve_density(P, law), mk.evolve_observable(P, law)
    mk.JumpProcess(Q).sample(0, 1.0, 10, rng=rng)
    for refuses in (mk.transition_matrix, mk.second_eigenvalue_modulus, mk.inverse_condition, mk.reverse_meanings):
        with pytest.raises(DomainError, match=f"sparse chain of {M} states"):
            refuses(Q, 1.0) if refuses is mk.transition_matrix else refuses(P)
