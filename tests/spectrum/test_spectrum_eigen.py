"""Eigenvalues of matrices and operators: closed forms, reversible and not, dense and Krylov."""

from dataclasses import dataclass

import mpmath
import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from nlmodel.errors import ChoiceError, ConvergenceError, DomainError, ShapeError
from nlmodel.spectrum import eigenvalues, krylov, numerical_abscissa, pseudospectrum, spectral_abscissa, spectral_radius
from nlmodel.testing import assert_close, tolerance


seeds = st.integers(0, 2**32 - 1)


@dataclass(frozen=True)
class Map:
    """A matrix known as an operator."""

    entries: np.ndarray

    def to_dense(self) -> np.ndarray:
        return self.entries

    def to_scipy(self) -> LinearOperator:
        return aslinearoperator(self.entries)


@dataclass(frozen=True)
class Operator(Map):
    """L = K - diag(exit_rate), reversible when its measure is known."""

    exit_rate: np.ndarray
    measure: np.ndarray | None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.entries.shape

    @property
    def size(self) -> int:
        return self.entries.shape[-1]

    @property
    def reversible(self) -> bool:
        return self.measure is not None

    @property
    def K(self) -> np.ndarray:
        return self.entries + np.diag(self.exit_rate)

    def symmetrized(self) -> Map:
        assert self.measure is not None
        root = np.sqrt(self.measure)
        return Map(root[:, None] * self.K / root[None, :])


def affinity(rng: np.random.Generator, M: int, scale: float = 1.0) -> np.ndarray:
    X = rng.standard_normal((M, 2))
    return np.exp(-0.5 * np.sum((X[:, None] - X[None]) ** 2, axis=-1) / scale**2)


def row_operator(omega: np.ndarray, *, reversible: bool = True) -> Operator:
    degree = np.sum(omega, axis=1)
    return Operator(omega / degree[:, None] - np.eye(len(omega)), np.ones(len(omega)), degree if reversible else None)


def unnormalised_operator(omega: np.ndarray) -> Operator:
    degree = np.sum(omega, axis=1)
    return Operator(omega - np.diag(degree), degree, np.ones(len(omega)))


def check_agree(actual: np.ndarray, expected: np.ndarray, n: int, cond: float = 1.0) -> None:
    assert_close(actual, np.asarray(expected, dtype=actual.dtype), "solve", n=n, cond=cond)


@given(st.floats(-10, 10), st.floats(0, 10))
def test_rotation_weight(a: float, b: float) -> None:
    W = np.array([[a, -b], [b, a]])
    scale = np.hypot(a, b)
    if b > 4 * np.finfo(float).eps * scale:
        assert_close(eigenvalues(W), np.array([a + 1j * b, a - 1j * b]), "solve", n=2, scale=scale)
    assert abs(spectral_abscissa(W) - a) <= tolerance("solve", n=2, scale=scale)
    assert abs(spectral_radius(W) - scale) <= tolerance("solve", n=2, scale=scale)


@pytest.mark.parametrize("a", [0.0, 0.3, 1.0, 4.0])
def test_two_point_kernel(a: float) -> None:
    check_agree(eigenvalues(np.array([[1, a], [a, 1]]) / (1 + a)), np.sort([1, (1 - a) / (1 + a)])[::-1], n=2)


@pytest.mark.parametrize("M", [2, 3, 8])
def test_complete_graph_and_cycle(M: int) -> None:
    complete = (np.ones((M, M)) - np.eye(M)) / (M - 1)
    check_agree(eigenvalues(complete), np.array([1.0] + [-1 / (M - 1)] * (M - 1)), n=M)
    cycle = 0.5 * (np.roll(np.eye(M), 1, 0) + np.roll(np.eye(M), -1, 0))
    check_agree(eigenvalues(cycle, which="smallest"), np.sort(np.cos(2 * np.pi * np.arange(M) / M)), n=M)
    check_agree(eigenvalues(np.full((M, M), 1 / M)), np.eye(M)[0], n=M)


def test_ehrenfest_chain_is_reversible_in_its_binomial_measure() -> None:
    N = 9
    K = np.diag(np.arange(N, 0, -1) / N, 1) + np.diag(np.arange(1, N + 1) / N, -1)
    binomial = np.array([float(mpmath.binomial(N, k)) for k in range(N + 1)])
    chain = Operator(K - np.eye(N + 1), np.ones(N + 1), binomial)
    check_agree(eigenvalues(chain), 1 - 2 * np.arange(N + 1) / N, n=N + 1)


def test_rank_one_kernel_solves_the_secular_equation() -> None:
    f = np.array([0.3, 0.7, 1.1, 2.0])
    F = mpmath.mpf(float(np.sum(f)))
    found = eigenvalues(unnormalised_operator(np.outer(f, f)), which="smallest", of="L")
    with mpmath.workdps(50):
        secular = lambda x: 1 + sum(mpmath.mpf(v) ** 2 / (-mpmath.mpf(v) * F - x) for v in f)  # noqa: E731
        poles = sorted(-mpmath.mpf(v) * F for v in f)
        gap = mpmath.mpf(10) ** -30
        between = zip(poles, [*poles[1:], mpmath.mpf(1)], strict=True)
        exact = [mpmath.findroot(secular, (low + gap, high - gap), solver="anderson") for low, high in between]
    check_agree(found, np.array([float(x) for x in exact]), n=4)


@given(seeds, st.integers(2, 8))
def test_law_reversible_spectra_are_real_and_those_of_K_and_L(seed: int, M: int) -> None:
    omega = affinity(np.random.default_rng(seed), M)
    op = row_operator(omega)
    K = eigenvalues(op)
    assert K.dtype == np.float64
    cond = float(np.sqrt(np.max(op.measure) / np.min(op.measure)))
    check_agree(K, np.sort(np.linalg.eigvals(op.K).real)[::-1], n=M, cond=cond)
    check_agree(eigenvalues(op, of="L") + 1, K, n=M)
    bare = unnormalised_operator(omega)
    check_agree(eigenvalues(bare), np.linalg.eigvalsh(omega)[::-1], n=M)
    check_agree(eigenvalues(bare, of="L"), np.linalg.eigvalsh(bare.to_dense())[::-1], n=M, cond=M)


def test_twin_K_and_L_are_not_confused(rng: np.random.Generator) -> None:
    bare = unnormalised_operator(affinity(rng, 6))
    with pytest.raises(AssertionError, match="largest difference"):
        check_agree(eigenvalues(bare, of="L"), np.linalg.eigvalsh(affinity(rng, 6))[::-1], n=6)


def test_operator_without_measure_is_complex(rng: np.random.Generator) -> None:
    omega = np.exp(rng.standard_normal((7, 7)))
    op = row_operator(omega, reversible=False)
    for of, matrix in (("K", op.K), ("L", op.to_dense())):
        found = eigenvalues(op, of=of)
        assert found.dtype == np.complex128
        cond = float(np.linalg.cond(np.linalg.eig(matrix)[1]))
        gaps = np.min(np.abs(found[:, None] - np.linalg.eigvals(matrix)[None]), axis=1)
        assert np.max(gaps) <= tolerance("solve", n=7, cond=cond)
        assert abs(spectral_abscissa(op, of=of) - (1.0 if of == "K" else 0.0)) <= tolerance("solve", n=7, cond=cond)
    assert spectral_radius(op, of="L") == float(np.max(np.abs(eigenvalues(op, of="L"))))


@pytest.mark.parametrize("which", ["largest", "smallest", "magnitude"])
def test_order_and_head(which: str, rng: np.random.Generator) -> None:
    A = rng.standard_normal((9, 9))
    every, some = eigenvalues(A, which=which), eigenvalues(A, 4, which)
    np.testing.assert_array_equal(every[:4], some)
    key = {"largest": -every.real, "smallest": every.real, "magnitude": -np.abs(every)}[which]
    assert np.all(np.diff(key) >= 0)


KRYLOV_CASES = [
    pytest.param(lambda rng: row_operator(affinity(rng, 120)), id="reversible"),
    pytest.param(lambda rng: unnormalised_operator(affinity(rng, 120, 0.3)), id="unnormalised"),
    pytest.param(lambda rng: row_operator(affinity(rng, 120), reversible=False), id="no measure"),
    pytest.param(lambda rng: row_operator(np.exp(rng.standard_normal((120, 120))), reversible=False), id="complex"),
    pytest.param(lambda rng: scipy.sparse.random(320, 320, 0.02, random_state=rng), id="sparse"),
    pytest.param(lambda rng: affinity(rng, 320, 0.5), id="restarted"),
    pytest.param(lambda rng: np.ones((310, 310)), id="rank one"),
    pytest.param(lambda rng: np.eye(310), id="identity"),
    pytest.param(lambda rng: np.zeros((310, 310)), id="zero"),
]


@pytest.mark.parametrize("which", ["largest", "smallest", "magnitude"])
@pytest.mark.parametrize("make", KRYLOV_CASES)
def test_krylov_equals_dense(make, which: str, rng: np.random.Generator) -> None:
    A = make(rng)
    dense = eigenvalues(A, which=which, method="dense")
    found = eigenvalues(A, 3, which, method="krylov")
    key = {"largest": np.real, "smallest": np.real, "magnitude": np.abs}[which]
    backward = np.finfo(float).eps ** (2 / 3) * max(float(np.max(np.abs(dense))), np.finfo(float).tiny)
    matrix = A.K if isinstance(A, Operator) else np.asarray(A.todense() if scipy.sparse.issparse(A) else A)
    cond = 1.0 if found.dtype == np.float64 else float(np.linalg.cond(np.linalg.eig(matrix)[1]))
    assert np.max(np.abs(key(found) - key(dense[:3]))) <= cond * backward


def turned(rng: np.random.Generator, M: int = 90) -> np.ndarray:
    """Conjugate pairs r e^{+-it} in a random orthonormal basis."""
    angles, radii = rng.uniform(0, 3, M // 2), np.linspace(0.1, 1, M // 2) ** 3
    pairs = [
        r * np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]]) for r, t in zip(radii, angles, strict=True)
    ]
    Q = np.linalg.qr(rng.standard_normal((M, M)))[0]
    return Q @ scipy.linalg.block_diag(*pairs) @ Q.T


def skew(rng: np.random.Generator) -> np.ndarray:
    A = rng.standard_normal((90, 90))
    return A - A.T


RESTARTED = [
    pytest.param(turned, True, id="conjugate pairs"),
    pytest.param(lambda rng: turned(rng) + turned(rng).T, True, id="symmetric"),
    pytest.param(lambda rng: np.eye(90), True, id="identity"),
    pytest.param(lambda rng: np.roll(np.eye(90), 1, axis=0), False, id="all on the circle"),
    pytest.param(skew, False, id="all on the axis"),
]


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("which", ["largest", "smallest", "magnitude"])
@pytest.mark.parametrize(("make", "easy"), RESTARTED)
def test_after_restarts_the_answer_is_right_or_an_error(
    make, easy: bool, which: str, k: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(krylov, "DIMENSION", 40)
    A = make(rng)
    key = {"largest": np.real, "smallest": np.real, "magnitude": np.abs}[which]
    expected = key(eigenvalues(A, k, which, method="dense"))
    try:
        found = eigenvalues(A, k, which, method="krylov", max_products=400)
    except ConvergenceError:
        assert not easy
    else:
        assert np.max(np.abs(key(found) - expected)) <= np.finfo(float).eps ** (2 / 3) * np.linalg.norm(A, 2)


def test_non_normal_answers_are_exact_for_a_nearby_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(krylov, "DIMENSION", 40)
    A = np.diag(np.ones(89), 1)
    found = eigenvalues(A, 1, method="krylov", max_products=400)
    assert abs(found[0]) > 0.1
    assert pseudospectrum(A, found) <= 2 * np.finfo(float).eps ** (2 / 3)


def test_every_component_of_a_disconnected_graph_is_found(rng: np.random.Generator) -> None:
    omega = scipy.linalg.block_diag(*[affinity(rng, 110, 7.0) for _ in range(4)])
    found = eigenvalues(row_operator(omega), 5, method="krylov")
    assert np.max(np.abs(found[:4] - 1)) <= tolerance("solve", n=440)
    assert found[4] < 0.5
    found = eigenvalues(row_operator(omega, reversible=False), 5, method="krylov")
    assert np.max(np.abs(found[:4] - 1)) <= tolerance("solve", n=440)


def test_twin_one_starting_vector_sees_each_eigenvalue_once(rng: np.random.Generator) -> None:
    omega = affinity(rng, 3)
    op = row_operator(scipy.linalg.block_diag(omega, omega))
    S, q = op.symmetrized().to_dense(), rng.standard_normal(6)
    basis = np.linalg.qr(np.stack([np.linalg.matrix_power(S, k) @ q for k in range(3)], axis=1))[0]
    seen = np.linalg.eigvalsh(basis.T @ S @ basis)
    assert np.sum(seen > 1 - 1e-9) == 1
    assert np.sum(eigenvalues(op, 2) > 1 - 1e-9) == 2


def test_giving_up_is_an_error_and_says_how_far_it_came(rng: np.random.Generator) -> None:
    omega = affinity(rng, 500, 0.1)
    with pytest.raises(ConvergenceError, match=r"1 wanted eigenvalues did not converge: got residual .* after 40"):
        eigenvalues(row_operator(omega), 1, "smallest", method="krylov", max_products=40)


def test_large_operators_go_to_krylov_by_themselves() -> None:
    M = 1600
    ring = scipy.sparse.diags_array(
        [np.full(M, 0.5)] + [np.full(M - j, 0.25) for j in (1, 1)] + [[0.25], [0.25]], offsets=[0, 1, -1, M - 1, 1 - M]
    )
    found = eigenvalues(scipy.sparse.csr_array(ring) + 9 * scipy.sparse.diags_array(np.arange(M) == 0, dtype=float), 1)
    with pytest.raises(ConvergenceError, match="max_products"):
        eigenvalues(scipy.sparse.csr_array(ring), 1, max_products=25)
    assert found.shape == (1,)
    assert 9.5 <= found[0] <= 10


@given(seeds, st.integers(2, 7))
def test_law_cauchy_interlacing(seed: int, N: int) -> None:
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((N, N))
    check_interlaces((A + A.T) / 2, np.eye(N)[:, : int(rng.integers(1, N))])


def check_interlaces(A: np.ndarray, V: np.ndarray) -> None:
    """lambda_{j+N-k}(A) <= lambda_j(V^T A V) <= lambda_j(A)."""
    outer, inner, (N, k) = eigenvalues(A).real, eigenvalues(V.T @ A @ V).real, V.shape
    slack = tolerance("solve", n=N, scale=float(np.linalg.norm(A, 2)))
    if not (np.all(outer[N - k :] - slack <= inner) and np.all(inner <= outer[:k] + slack)):
        raise AssertionError("not interlaced")


def test_twin_no_interlacing_without_symmetry_or_orthonormal_columns() -> None:
    check_interlaces(np.diag([1.0, 2.0, 3.0]), np.eye(3)[:, :2])
    with pytest.raises(AssertionError, match="not interlaced"):
        check_interlaces(np.diag([1.0, 2.0, 3.0]), 2 * np.eye(3)[:, :2])
    with pytest.raises(AssertionError, match="not interlaced"):
        check_interlaces(np.array([[0.0, 9.0], [-9.0, 1.0]]), np.eye(2)[:, 1:])


@given(seeds, st.integers(1, 6))
def test_law_abscissa_and_radius_bounds(seed: int, N: int) -> None:
    A = np.random.default_rng(seed).standard_normal((N, N))
    norm = float(np.linalg.norm(A, 2))
    slack = tolerance("solve", n=N, scale=norm)
    assert -norm - slack <= spectral_abscissa(A) <= numerical_abscissa(A) + slack
    assert spectral_abscissa(A) <= spectral_radius(A) + slack
    assert spectral_radius(A) <= norm + slack


def test_twin_the_abscissa_exceeds_minus_the_radius_only_one_way() -> None:
    W = np.array([[0.5, 20.0], [0.0, 0.5]])
    assert spectral_abscissa(-W) == -0.5
    assert numerical_abscissa(-W) == pytest.approx(9.5, abs=tolerance("solve", n=2, scale=10))
    assert not numerical_abscissa(-W) <= spectral_abscissa(-W)


def test_precision_library_and_rounding_asymmetry(rng: np.random.Generator) -> None:
    A = rng.standard_normal((5, 5)).astype(np.float32)
    assert eigenvalues(A).dtype == np.complex64
    assert eigenvalues(A + A.T).dtype == np.float32
    assert eigenvalues(A + 1j * A.T).dtype == np.complex64
    assert eigenvalues(A + A.T, 2, method="krylov").dtype == np.float32
    omega = affinity(rng, 20)
    S = omega / np.sqrt(np.outer(np.sum(omega, axis=0), np.sum(omega, axis=1)))
    nudged = S.copy()
    nudged[0, 1] += np.spacing(S[0, 1])
    assert eigenvalues(nudged).dtype == np.float64
    np.testing.assert_array_equal(eigenvalues(torch.from_numpy(S)), eigenvalues(S))
    np.testing.assert_array_equal(eigenvalues(S, 3, method="krylov"), eigenvalues(S, 3, method="krylov"))


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((4,), {}, DomainError, r"k must be at most 3: got 4"),
        ((0,), {}, DomainError, r"k must be at least 1"),
        ((1, "top"), {}, ChoiceError, r"which must be one of 'largest', 'smallest', 'magnitude': got 'top'"),
        ((1,), {"of": "L"}, ChoiceError, r"of='L' needs a nonlocal operator: got ndarray"),
        ((1,), {"of": "I"}, ChoiceError, r"of must be one of 'K', 'L'"),
        ((1,), {"method": "power"}, ChoiceError, r"method must be one of"),
        ((2,), {"method": "krylov"}, DomainError, r"k must be at most 1: got 2"),
        ((1,), {"tolerance": 0.0}, DomainError, r"tolerance must be > 0"),
        ((1,), {"max_products": 0}, DomainError, r"max_products must be at least 1"),
    ],
)
def test_bad_options(arguments: tuple, options: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        eigenvalues(np.diag([1.0, 2.0, 3.0]), *arguments, **options)


def test_bad_operators() -> None:
    batch = Operator(np.zeros((2, 3, 3)), np.ones(3), None)
    with pytest.raises(ShapeError, match=r"must not be a batch: got shape \(2, 3, 3\)"):
        eigenvalues(batch)
    with pytest.raises(ShapeError, match=r"A must be square: got shape \(2, 3\)"):
        eigenvalues(scipy.sparse.csr_array(np.ones((2, 3))))
    with pytest.raises(ChoiceError, match=r"'krylov' is for real A"):
        eigenvalues(1j * np.eye(5), 1, method="krylov")


def test_sparse_matrices_without_entries_or_rows():
    with pytest.raises(ShapeError, match="A must not be empty"):
        eigenvalues(scipy.sparse.csr_array((0, 0)))
    assert np.array_equal(eigenvalues(scipy.sparse.csr_array((2, 2))), np.zeros(2))
