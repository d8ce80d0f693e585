"""Chebyshev graph filters: the recurrence against the definition, the stage and the blocks as coefficients."""

import math
from dataclasses import dataclass

import array_api_strict
import numpy as np
import pytest
import scipy.sparse
import scipy.special
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial import chebyshev

from nlmodel import NonlocalOperator
from nlmodel.errors import ChoiceError, DomainError, DtypeError, NonFiniteError, ShapeError
from nlmodel.filters import block_coefficients, chebyshev_filter, response_coefficients, stage_coefficients
from nlmodel.kernels import TruncatedGaussian
from nlmodel.operators import csr_recurrence
from nlmodel.operators.sparse import SparseAffinity
from nlmodel.testing import assert_close, tolerance


seeds = st.integers(0, 2**32 - 1)
MUS = (0.3, 0.7, 0.5)


def symmetric_affinity(rng: np.random.Generator, M: int) -> np.ndarray:
    """D^{-1/2} omega D^{-1/2}: symmetric, spectrum in [-1, 1]."""
    omega = rng.random((M, M)) + 0.01
    omega = omega + omega.T
    root = np.sqrt(np.sum(omega, axis=1))
    return omega / root[:, None] / root[None]


def row_affinity(rng: np.random.Generator, M: int) -> np.ndarray:
    omega = np.exp(rng.standard_normal((M, M)))
    return omega / np.sum(omega, axis=1, keepdims=True)


def by_definition(A: np.ndarray, Z: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """sum_k T_k(-A) Z Theta_k with T_k(x) = cos(k arccos x) on the eigenvalues of a symmetric A."""
    values, Q = np.linalg.eigh(A)
    angles = np.arccos(np.clip(-values, -1, 1))
    terms = [Q @ (np.cos(k * angles)[:, None] * (Q.T @ Z)) for k in range(len(coefficients))]
    return sum(np.dot(term, theta) for term, theta in zip(terms, coefficients, strict=True))


@given(seeds, st.integers(1, 6), st.integers(1, 7), st.booleans())
def test_law_recurrence_equals_definition(seed: int, M: int, count: int, matrices: bool) -> None:
    rng = np.random.default_rng(seed)
    A, Z = symmetric_affinity(rng, M), rng.standard_normal((M, 3))
    theta = rng.standard_normal((count, 3, 2) if matrices else (count,))
    scale = float(np.sum(np.abs(theta)) * np.max(np.abs(Z))) * 3
    expected = by_definition(A, Z, theta)
    slack = tolerance("solve", n=M * count**2, scale=scale)
    assert np.max(np.abs(chebyshev_filter(A, Z, theta) - expected)) <= slack
    assert np.max(np.abs(chebyshev_filter(A, Z, list(theta)) - expected)) <= slack


@pytest.mark.parametrize("twin", ["argument A instead of -A", "recurrence without the factor 2"])
def test_twin_other_recurrences_differ(twin: str, rng: np.random.Generator) -> None:
    A, Z, theta = symmetric_affinity(rng, 5), rng.standard_normal((5, 2)), np.array([0.5, 0.2, -0.3, 0.1])
    if twin == "argument A instead of -A":
        wrong = chebyshev_filter(-A, Z, theta)
    else:
        second, third = A @ A @ Z - Z, -A @ (A @ A @ Z - Z) + A @ Z
        wrong = theta[0] * Z - theta[1] * A @ Z + theta[2] * second + theta[3] * third
    with pytest.raises(AssertionError, match="largest difference"):
        assert_close(wrong, by_definition(A, Z, theta), "solve", n=80)


def test_stage_coefficients_oracle() -> None:
    found = stage_coefficients(MUS)
    assert_close(found, np.array([0.3025, -0.47375, 0.1975, -0.02625]))
    powers = np.array([1.0])
    for mu in MUS:
        powers = np.polynomial.polynomial.polymul(powers, [1 - mu, -mu])
    assert_close(found, chebyshev.poly2cheb(powers), "solve", n=4)


def stage(A: np.ndarray, Z: np.ndarray, weights: np.ndarray) -> np.ndarray:
    for W in weights:
        step = A @ Z - Z
        Z = Z + (W * step if W.ndim == 0 else step @ W.T)
    return Z


@given(seeds, st.integers(1, 6), st.integers(1, 5), st.booleans())
def test_law_a_stage_is_a_chebyshev_filter_for_any_affinity(seed: int, M: int, N: int, matrices: bool) -> None:
    rng = np.random.default_rng(seed)
    A, Z = row_affinity(rng, M), rng.standard_normal((M, 2))
    weights = rng.standard_normal((N, 2, 2) if matrices else (N,))
    theta = stage_coefficients(weights)
    size = float(np.prod([1 + 2 * np.sum(np.abs(W)) for W in weights])) * float(np.max(np.abs(Z))) * 4
    spread = 3.0**N
    slack = tolerance("solve", n=M * (N + 1), scale=size * spread)
    assert np.max(np.abs(chebyshev_filter(A, Z, theta) - stage(A, Z, weights))) <= slack
    alternating = np.tensordot((-1.0) ** np.arange(N + 1), theta, axes=1)
    one = np.eye(2) if matrices else np.array(1.0)
    assert np.max(np.abs(alternating - one)) <= slack / np.max(np.abs(Z))
    constant = np.ones((M, 1)) * Z[:1]
    assert np.max(np.abs(chebyshev_filter(A, constant, theta) - constant)) <= slack


def test_twins_of_the_stage(rng: np.random.Generator) -> None:
    A, Z, weights = row_affinity(rng, 5), rng.standard_normal((5, 2)), rng.standard_normal((3, 2, 2))
    right, scale = stage(A, Z, weights), 1e3
    assert_close(chebyshev_filter(A, Z, stage_coefficients(weights)), right, "solve", n=20, scale=scale)
    for wrong in (weights[::-1].copy(), np.swapaxes(weights, 1, 2).copy()):
        with pytest.raises(AssertionError, match="largest difference"):
            assert_close(chebyshev_filter(A, Z, stage_coefficients(wrong)), right, "solve", n=20, scale=scale)
    free = np.array(block_coefficients("spectral", weights[0], weights[1]))
    assert np.max(np.abs(free[0] - free[1] - np.eye(2))) > 0.1


@given(seeds, st.integers(1, 6))
def test_law_blocks_are_coefficients(seed: int, M: int) -> None:
    rng = np.random.default_rng(seed)
    A, Z = row_affinity(rng, M), rng.standard_normal((M, 3))
    first, second, third = rng.standard_normal((3, 3, 2))
    forms = [
        (("nonlocal", first), A @ Z @ first),
        (("stage", first), A @ Z @ first - Z @ first),
        (("spectral", first, second), Z @ first + A @ Z @ second),
        (("generalized_spectral", first, second, third), Z @ first + A @ Z @ second + (2 * A @ Z - Z) @ third),
    ]
    for arguments, expected in forms:
        scale = 20 * float(np.max(np.abs(Z)) * max(np.max(np.abs(W)) for W in arguments[1:]))
        assert_close(
            chebyshev_filter(A, Z, block_coefficients(*arguments)), expected, "reduction", n=3 * M, scale=scale
        )


def test_generalized_spectral_block_is_the_spectral_block_with_other_weights(rng: np.random.Generator) -> None:
    W = rng.standard_normal((3, 4, 4))
    general = block_coefficients("generalized_spectral", *W)
    plain = block_coefficients("spectral", W[0] - W[2], W[1] + 2 * W[2])
    for left, right in zip(general, plain, strict=True):
        assert_close(left, right)


def test_chebyshev_terms_of_a_projection_cycle(rng: np.random.Generator) -> None:
    basis = np.linalg.qr(rng.standard_normal((6, 2)))[0]
    A, identity = basis @ basis.T, np.eye(6)
    terms = [chebyshev_filter(A, identity, [0.0] * k + [1.0]) for k in range(9)]
    for k, term in enumerate(terms):
        expected = [identity, -A, 2 * A - identity, -A][k % 4]
        assert_close(term, expected, "solve", n=6 * (k + 1) ** 2)


def test_twin_a_softmax_affinity_does_not_cycle(rng: np.random.Generator) -> None:
    A, identity = row_affinity(rng, 6), np.eye(6)
    terms = [chebyshev_filter(A, identity, [0.0] * k + [1.0]) for k in range(5)]
    assert np.max(np.abs(terms[3] - terms[1])) > 0.1
    assert np.max(np.abs(terms[2] - (2 * A - identity))) > 0.1


@given(seeds, st.integers(1, 6), st.integers(0, 12))
def test_law_terms_stay_bounded_on_a_normalised_affinity(seed: int, M: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    A = symmetric_affinity(rng, M)
    size = float(np.linalg.norm(chebyshev_filter(A, np.eye(M), [0.0] * k + [1.0]), 2))
    assert size <= 1 + tolerance("solve", n=M * (k + 1) ** 2)


def test_twin_terms_explode_without_normalisation(rng: np.random.Generator) -> None:
    A = 3 * symmetric_affinity(rng, 5)
    assert float(np.linalg.norm(chebyshev_filter(A, np.eye(5), [0.0] * 12 + [1.0]), 2)) > 1e6


@dataclass(frozen=True)
class Averaging:
    """A nonlocal operator in small: `@` is the generator, `average` the averaging part."""

    K: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.K.shape

    def average(self, Z: np.ndarray) -> np.ndarray:
        return self.K @ Z

    def __matmul__(self, Z: np.ndarray) -> np.ndarray:
        return self.K @ Z - Z


def test_operators_act_by_their_averaging_part(rng: np.random.Generator) -> None:
    A, Z, theta = row_affinity(rng, 5), rng.standard_normal((5, 2)), [0.4, -0.2, 0.7]
    expected = chebyshev_filter(A, Z, theta)
    np.testing.assert_array_equal(chebyshev_filter(Averaging(A), Z, theta), expected)
    assert_close(chebyshev_filter(scipy.sparse.csr_array(A), Z, theta), expected, "reduction", n=15)
    generator = Averaging(A) @ np.eye(5)
    assert np.max(np.abs(chebyshev_filter(generator, Z, theta) - expected)) > 0.1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("matrices", [True, False])
def test_one_definition_on_every_library(matrices: bool, dtype: type, rng: np.random.Generator) -> None:
    A = np.stack([row_affinity(rng, 4) for _ in range(2)]).astype(dtype)
    Z = rng.standard_normal((2, 4, 3)).astype(dtype)
    weights = rng.standard_normal((3, 3, 3) if matrices else (3,)).astype(dtype)
    expected = chebyshev_filter(A, Z, stage_coefficients(weights))
    assert expected.dtype == dtype
    for xp in (torch, array_api_strict):
        theta = stage_coefficients(xp.asarray(weights))
        found = chebyshev_filter(xp.asarray(A), xp.asarray(Z), theta)
        assert found.dtype == getattr(xp, np.dtype(dtype).name)
        assert_close(np.asarray(found), expected, "solve", n=16, scale=10 * float(np.max(np.abs(expected))))
    one = chebyshev_filter(torch.from_numpy(A), torch.from_numpy(Z), [0.5, -0.5])
    assert_close(one.numpy(), 0.5 * (Z + A @ Z), "reduction", n=8)


@pytest.mark.parametrize("shape", [(3,), (3, 2, 2)])
def test_gradients(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(3)
    draw = lambda *size: torch.randn(*size, dtype=torch.float64, generator=generator, requires_grad=True)  # noqa: E731
    A, Z, weights = draw(4, 4), draw(4, 2), draw(*shape)
    assert torch.autograd.gradcheck(chebyshev_filter, (A, Z, weights))
    assert torch.autograd.gradgradcheck(chebyshev_filter, (A, Z, weights))
    assert torch.autograd.gradcheck(stage_coefficients, (weights,))
    assert torch.autograd.gradgradcheck(stage_coefficients, (weights,))


def test_inputs_are_not_modified(rng: np.random.Generator) -> None:
    A, Z, theta = row_affinity(rng, 4), rng.standard_normal((4, 2)), rng.standard_normal((3, 2, 2))
    before = [x.copy() for x in (A, Z, theta)]
    chebyshev_filter(A, Z, theta)
    stage_coefficients(theta)
    for x, y in zip((A, Z, theta), before, strict=True):
        np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(chebyshev_filter(A, Z, [1.0]), Z)
    np.testing.assert_array_equal(stage_coefficients([0.0]), [1.0, 0.0])


A3, Z3 = np.eye(3), np.ones((3, 2))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((np.ones((3, 4)), Z3, [1.0]), ShapeError, r"A must be square"),
        ((np.eye(4), Z3, [1.0]), ShapeError, r"same number of positions: got shapes \(4, 4\) and \(3, 2\)"),
        ((A3.astype(np.float32), Z3, [1.0]), DtypeError, r"A and Z must share dtype"),
        (
            (scipy.sparse.csr_array(A3.astype(np.float32)), Z3, [1.0]),
            DtypeError,
            r"precision of A: got Z float64, A float32",
        ),
        (
            (scipy.sparse.csr_array(A3), torch.ones(3, 2, dtype=torch.float64), [1.0]),
            DtypeError,
            r"Z must be a NumPy array",
        ),
        ((torch.eye(3, dtype=torch.float64), Z3, [1.0]), DtypeError, r"expected arrays of one library"),
        ((A3.tolist(), Z3, [1.0]), DtypeError, r"expected arrays of one library"),
        ((A3, Z3.astype(int), [1.0]), DtypeError, r"Z must be a real floating-point array"),
        ((A3 + 0j, Z3, [1.0]), DtypeError, r"A must be a real floating-point array"),
        ((A3 * np.nan, Z3, [1.0]), NonFiniteError, r"A must be finite"),
        ((A3, Z3 * np.inf, [1.0]), NonFiniteError, r"Z must be finite"),
        ((A3, np.ones(3), [1.0]), ShapeError, r"Z must have at least 2 dimensions"),
        ((A3, np.ones((3, 0)), [1.0]), ShapeError, r"Z must not be empty"),
        ((A3, Z3, []), ShapeError, r"coefficients must not be empty"),
        ((A3, Z3, [math.nan]), NonFiniteError, r"coefficients must be finite"),
        ((A3, Z3, [1.0, "2"]), ShapeError, r"all numbers, or all matrices: got a mixture"),
        ((A3, Z3, [1.0, np.eye(2)]), ShapeError, r"all numbers, or all matrices"),
        ((A3, Z3, [True]), DtypeError, r"coefficients must be a real number"),
        ((A3, Z3, np.array([1, 2])), DtypeError, r"coefficients must be a real floating-point array"),
        ((A3, Z3, np.ones(2, dtype=np.float32)), DtypeError, r"coefficients and Z must share dtype"),
        ((A3, Z3, [np.eye(3)]), ShapeError, r"matrices \(C, C'\) with C the channels of Z: got shape \(3, 3\)"),
        ((A3, Z3, [np.eye(2), np.ones((2, 3))]), ShapeError, r"got shape \(2, 3\)"),
        ((A3, Z3, np.ones((2, 2))), ShapeError, r"coefficients must be all numbers, or all matrices"),
    ],
)
def test_bad_filter_input(arguments: tuple, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        chebyshev_filter(*arguments)


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ([], ShapeError, r"weights must not be empty"),
        ([0.5, math.inf], NonFiniteError, r"weights must be finite"),
        (["half"], DtypeError, r"weights must be a real number"),
        (np.array([1, 2]), DtypeError, r"weights must be a real floating"),
        (np.ones((2, 2)), ShapeError, r"\(N,\) numbers or \(N, C, C\) matrices: got shape \(2, 2\)"),
        (np.ones((2, 2, 3)), ShapeError, r"weights must be square"),
        (np.full(2, np.nan), NonFiniteError, r"weights must be finite"),
    ],
)
def test_bad_stage_weights(weights: object, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        stage_coefficients(weights)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("local", np.eye(2)), ChoiceError, r"block must be one of 'nonlocal', 'stage'"),
        (("spectral", np.eye(2)), ShapeError, r"block 'spectral' takes 2 weights: got 1"),
        (("spectral", np.eye(2), np.eye(3)), ShapeError, r"weights must have one shape"),
        (("spectral", np.eye(2), np.eye(2, dtype=np.float32)), DtypeError, r"must share dtype"),
        (("stage", np.eye(2, dtype=int)), DtypeError, r"weights\[0\] must be a real floating"),
        (("stage", np.array([[np.inf]])), NonFiniteError, r"weights\[0\] must be finite"),
        (("stage", np.ones(2)), ShapeError, r"weights\[0\] must have 2 dimensions"),
    ],
)
def test_bad_blocks(arguments: tuple, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        block_coefficients(*arguments)


def test_a_large_sparse_operator_goes_through_the_recurrence_in_one_place(
    rng: np.random.Generator, monkeypatch
) -> None:
    """The compiled steps in the stored order against products one by one; scaled, permuted, of one and many columns."""
    kernel = TruncatedGaussian(0.2, 0.1, 2)
    theta = [0.4, -0.2, 0.7, 0.1, -0.3]
    for dtype in (np.float64, np.float32):
        X = rng.random((400, 2)).astype(dtype)
        for how in ("none", "row", "symmetric", "sinkhorn"):
            op = NonlocalOperator.from_points(X, kernel, how, storage="sparse", weights=1 / 400)
            csr = op.averaging.to_csr()
            size = float(np.max(abs(csr).sum(axis=1)))
            for C in (1, 3, 8, 17):
                Z = rng.standard_normal((400, C)).astype(dtype)
                kept, expected = Z.copy(), chebyshev_filter(csr.toarray(), Z, theta)
                monkeypatch.setattr(csr_recurrence, "COMPILED_FROM", 0)
                for A in (op, csr):
                    found = chebyshev_filter(A, Z, theta)
                    assert found.dtype == dtype
                    assert_close(found, expected, "solve", n=4, scale=8 * max(1.0, size) ** 4)
                    assert np.max(np.abs(chebyshev_filter(A, Z, theta[::-1]) - expected)) > 0.1  # control
                assert np.array_equal(Z, kept)
                monkeypatch.setattr(csr_recurrence, "COMPILED_FROM", 10**9)
                assert_close(chebyshev_filter(op, Z, theta), expected, "solve", n=4, scale=8 * max(1.0, size) ** 4)


def test_without_numba_the_products_go_one_by_one(rng: np.random.Generator, monkeypatch) -> None:
    A, Z = scipy.sparse.csr_array(row_affinity(rng, 30)), rng.standard_normal((30, 2))
    monkeypatch.setattr(csr_recurrence, "COMPILED_FROM", 0)
    expected = chebyshev_filter(A, Z, [0.5, 0.2, 0.3])
    monkeypatch.setattr(csr_recurrence, "compiled", lambda name: None)
    assert csr_recurrence.chebyshev_sum(SparseAffinity(A, None, False), Z, [1.0, 2.0]) is None
    assert_close(chebyshev_filter(A, Z, [0.5, 0.2, 0.3]), expected, "reduction", n=90)


def test_a_product_that_returns_its_argument_is_not_overwritten() -> None:
    """A = I as an operator that hands back what it was given: T_k(-I) = (-1)^k I."""

    class Same:
        shape, dtype = (3, 3), np.dtype(np.float64)

        def average(self, Z: np.ndarray) -> np.ndarray:
            return Z

    Z = np.arange(6.0).reshape(3, 2)
    found = chebyshev_filter(Same(), Z, [1.0, 10.0, 100.0, 1000.0])
    np.testing.assert_array_equal(found, (1 - 10 + 100 - 1000) * np.arange(6.0).reshape(3, 2))
    np.testing.assert_array_equal(Z, np.arange(6.0).reshape(3, 2))


@pytest.mark.parametrize("t", [0.1, 3.0, 40.0])
def test_response_coefficients_of_the_heat_kernel(t: float) -> None:
    """exp(-t (1 + x)) = exp(-t) (I_0(t) + 2 sum_k (-1)^k I_k(t) T_k(x))."""
    found = np.array(response_coefficients(lambda lam: np.exp(-t * lam), 30))
    k = np.arange(31)
    exact = np.where(k > 0, 2.0, 1.0) * (-1.0) ** k * scipy.special.ive(k, t)
    assert np.max(np.abs(found - exact)) <= tolerance("reduction", n=64, scale=0.1)
    few = (np.arange(31) + 0.5) * np.pi / 31
    coarse = 2 / 31 * np.cos(k[:, None] * few) @ np.exp(-t * (1 + np.cos(few)))
    coarse[0] /= 2
    if t > 3:  # control: as many nodes as coefficients
        assert np.max(np.abs(coarse - exact)) > 1e-8


def test_a_response_acts_on_the_spectrum_of_the_laplacian(rng: np.random.Generator) -> None:
    A, Z = symmetric_affinity(rng, 8), rng.standard_normal((8, 2))
    values, Q = np.linalg.eigh(np.eye(8) - A)
    expected = Q @ (np.exp(-5 * values)[:, None] * (Q.T @ Z))
    found = chebyshev_filter(A, Z, response_coefficients(lambda lam: np.exp(-5 * lam), 40))
    assert_close(found, expected, "solve", n=8)
    assert (
        np.max(np.abs(chebyshev_filter(-A, Z, response_coefficients(lambda lam: np.exp(-5 * lam), 40)) - expected))
        > 0.1
    )


@pytest.mark.parametrize(
    ("response", "order", "error", "message"),
    [
        (
            lambda lam: np.where(lam < 1, 1.0, 0.0),
            5,
            DomainError,
            r"response must be smooth.*do not decay within 65536",
        ),
        (lambda lam: np.abs(lam - 1), 5, DomainError, r"response must be smooth"),
        (lambda lam: lam * np.nan, 5, NonFiniteError, r"response\(lambda\) must be finite"),
        (lambda lam: lam > 1, 5, DtypeError, r"response\(lambda\) must be a real floating"),
        (lambda lam: lam[:-1], 5, ShapeError, r"a number for each eigenvalue: got 31 for 32"),
        (lambda lam: 1.0, 5, ShapeError, r"response\(lambda\) must have 1 dimensions"),
        (np.exp, -1, DomainError, r"order must be at least 0"),
        (np.exp, 2.0, DtypeError, r"order must be a whole number"),
    ],
)
def test_bad_responses(response: object, order: object, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        response_coefficients(response, order)
