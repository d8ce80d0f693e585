"""Landmarks and random features: within their stated errors of the dense affinity, and true to every law."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from array_api_strict import asarray as strict

from nlmodel import NonlocalOperator
from nlmodel.errors import (
    ChoiceError,
    DomainError,
    DtypeError,
    NonFiniteError,
    NormalizationError,
    ShapeError,
)
from nlmodel.kernels import (
    DotProduct,
    Embedded,
    ExpDot,
    Exponential,
    FunctionKernel,
    Gaussian,
    TopHat,
    TruncatedGaussian,
)
from nlmodel.operators import lowrank_cholesky
from nlmodel.operators.lowrank import LowRankAffinity
from nlmodel.testing import assert_close, tolerance
from tests.operators.approximations import HOWS, check_laws


X = np.array([[0.0, 1.0], [2.0, 3.0], [1.0, 1.0]])


def quadratic(X, Y):
    return (1 + X @ Y.T) ** 2


KERNELS = [
    Gaussian(1.5),
    ExpDot(2.0),
    DotProduct(),
    Exponential(np.inf, 3.0, 2),
    TruncatedGaussian(np.inf, 0.8, 2),
    FunctionKernel(quadratic, positive_definite=True),
    Embedded(Gaussian(1.0), np.array([[1.0, -0.5]])),
]


def correlation(X: np.ndarray, kernel) -> np.ndarray:
    """omega_ij / sqrt(omega_ii omega_jj) by the definition, in float64."""
    omega = kernel(X.astype(float))
    size = np.sqrt(np.diag(omega))
    return omega / np.outer(size, size)


def problem(seed: int, precision=np.float64):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((int(rng.integers(1, 60)), 2)) * rng.uniform(0.3, 2.0)
    kernels = KERNELS if precision == np.float64 else KERNELS[:-1]
    tol = 10.0 ** (rng.uniform(-10, -0.5) if precision == np.float64 else rng.uniform(-3, -0.5))
    return X.astype(precision), kernels[seed % len(kernels)], tol, rng


def gap(affinity: LowRankAffinity, X: np.ndarray, kernel) -> np.ndarray:
    """Every error of U U^T over what the bound allows."""
    U = affinity.factor.astype(float)
    return np.abs(U @ U.T - correlation(X, kernel)) / affinity.error_bound


@pytest.mark.parametrize("precision", [np.float64, np.float32])
def test_the_error_bound_of_landmarks_holds_on_100_problems(precision):
    largest = []
    for seed in range(100):
        X, kernel, tol, _ = problem(seed, precision)
        affinity = LowRankAffinity.build(X, kernel, tol)
        assert affinity.error_bound <= tol
        largest.append(float(np.max(gap(affinity, X, kernel))))
        rounding = affinity.error_bound - float(np.max(affinity.remainder))
        root = np.sqrt(affinity.remainder.astype(float))
        each = np.outer(root, root) + rounding
        assert np.all(gap(affinity, X, kernel) * affinity.error_bound <= each)
    assert max(largest) <= 1 + tolerance("elementwise", precision)
    assert max(largest) > 0.5  # and it is not idle


def test_one_landmark_less_breaks_the_bound():
    broken = []
    for seed in range(100):
        X, kernel, tol, _ = problem(seed)
        affinity = LowRankAffinity.build(X, kernel, tol)
        fewer = replace(affinity, factor=affinity.factor[:, :-1])
        broken.append(float(np.max(gap(fewer, X, kernel))) > 1)
    assert all(broken)


def test_few_landmarks_suffice_where_the_kernel_is_wide(rng):
    X = rng.uniform(0, 1, (400, 2))
    ranks = [LowRankAffinity.build(X, Gaussian(1.0), tol).rank for tol in (1e-2, 1e-4, 1e-8)]
    assert ranks == sorted(ranks) and ranks[-1] < 70
    assert LowRankAffinity.build(X, Gaussian(0.01), 1e-2).rank > 300  # control
    assert LowRankAffinity.build(X, DotProduct(), 1e-8).rank == 2


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("precision", [np.float64, np.float32])
def test_laws_of_landmarks(how, precision):
    if how == "sinkhorn":  # one landmark only: a factor without a sign
        check_laws(
            LowRankAffinity.build(X.astype(precision), Gaussian(40.0), 0.1),
            how,
            X[:, 1].astype(precision),
            np.random.default_rng(1),
        )
        return
    for seed in range(20):
        points, kernel, _, rng = problem(seed, precision)
        if isinstance(kernel, DotProduct):
            continue  # row sums of either sign
        affinity = LowRankAffinity.build(points, kernel, 1e-3)
        check_laws(affinity, how, rng.uniform(0.5, 2.0, len(points)).astype(precision), rng)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("kernel", [Gaussian(1.5), ExpDot(2.0)], ids=repr)
@pytest.mark.parametrize("kind", ["trigonometric", "positive"])
def test_laws_of_random_features(kind, kernel, how):
    if how == "sinkhorn" and kind == "trigonometric":
        return  # of either sign
    for seed in range(10):
        rng = np.random.default_rng(seed)
        points = rng.uniform(-1, 1, (int(rng.integers(1, 12)), 3))
        affinity = LowRankAffinity.random_features(points, kernel, 200, rng=rng, kind=kind)
        assert affinity.nonnegative == (kind == "positive")
        check_laws(affinity, how, rng.uniform(0.5, 2.0, len(points)), rng)


class Forgetful(LowRankAffinity):
    """Its transpose forgets that the scalings change sides."""

    def apply_transposed(self, Z):
        return self.apply(Z)


class Doubled(LowRankAffinity):
    """Its diagonal is that of another matrix."""

    def diagonal(self):
        return 2 * super().diagonal()


class Lopsided(LowRankAffinity):
    """One that is scaled on one side only when both are asked for."""

    def rescaled(self, left, right):
        return super().rescaled(left, 0 * right)


@pytest.mark.parametrize("wrong", [Forgetful, Doubled, Lopsided])
def test_wrong_twins_break_the_laws(wrong, rng):
    right, weights = LowRankAffinity.build(X, Gaussian(1.0), 1e-6), np.array([1.0, 2.0, 3.0])
    check_laws(right, "row", weights, rng)
    with pytest.raises(AssertionError):
        check_laws(wrong(**vars(right)), "row", weights, rng)


@pytest.mark.parametrize("kernel", [Gaussian(1.5), ExpDot(2.0)], ids=repr)
@pytest.mark.parametrize("kind", ["trigonometric", "positive"])
def test_random_features_miss_their_bound_no_more_often_than_stated(kind, kernel):
    """Of one pair in each of 400 draws, at 70 % confidence; with half of the bound trigonometric ones miss it often."""
    rng, points, missed = np.random.default_rng(3), np.array([[0.2, 0.1], [-0.2, 0.4], [0.9, 0.3]]), 0
    wanted, errors = correlation(points, kernel)[0, 1], []
    for _ in range(400):
        affinity = LowRankAffinity.random_features(points, kernel, 30, rng=rng, kind=kind, confidence=0.7)
        errors.append((affinity.factor @ affinity.factor.T)[0, 1] - wanted)
        missed += abs(errors[-1]) > affinity.error_bound
    assert missed <= 0.3 * 400
    standard = float(np.std(errors))
    assert abs(float(np.mean(errors))) <= 4 * standard / 20  # unbiased
    assert float(np.mean(np.abs(errors) > standard / 4)) > 0.3  # control: a bound much smaller than the error is missed


def test_the_variance_of_positive_features_is_the_one_their_bound_rests_on(rng):
    x, y = np.array([0.3, -0.1]), np.array([0.2, 0.5])
    w = rng.standard_normal((200_000, 2))
    terms = np.exp(w @ x - x @ x) * np.exp(w @ y - y @ y)
    variance = np.exp(4 * x @ y) - np.exp(-((x - y) @ (x - y)))
    spread = float(np.std((terms - terms.mean()) ** 2)) / np.sqrt(len(terms))
    assert abs(float(np.var(terms)) - variance) <= 5 * spread
    assert abs(float(np.var(terms)) - np.exp(4 * x @ y)) > 5 * spread  # control


def test_exponents_beyond_the_range_stay_logarithms(rng):
    angle = rng.uniform(0, 1, 20)
    points = 40 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    wide = LowRankAffinity.build(points, ExpDot(1.0), 1e-6)
    assert float(np.max(wide.left)) > 709
    K = NonlocalOperator.from_points(points, ExpDot(1.0), "row", storage="dense").averaging.to_dense()
    ours = NonlocalOperator._normalized(wide, "row", None, 1.0)
    nearest = np.argmax(K, axis=1)
    assert np.array_equal(np.argmax(ours.averaging.to_dense(), axis=1), nearest)
    with pytest.raises(DomainError, match="overflows"):
        NonlocalOperator._normalized(wide, "none", None, 1.0)


def test_rows_that_vanish_stay_zero():
    points = np.array([[0.0, 0.0], [1.0, 2.0], [0.5, -1.0]])
    affinity = LowRankAffinity.build(points, DotProduct(), 1e-9)
    assert not np.any(affinity.to_dense()[0]) and not np.any(affinity.to_dense()[:, 0])
    assert_close(affinity.to_dense(), points @ points.T, "solve", n=2)


def test_row_sums_below_their_error_are_refused():
    far = np.arange(200.0)[:, None]
    signed = LowRankAffinity.build(far, Gaussian(2.0), 0.4)
    error = np.sqrt(signed.remainder) * np.sqrt(signed.remainder).sum()
    assert np.max(error) > 1
    with pytest.raises(NormalizationError, match=r"(?s)exceed the bound of its error.*or less suffices"):
        NonlocalOperator._normalized(signed, "row", None, 1.0)
    assert NonlocalOperator._normalized(LowRankAffinity.build(far, Gaussian(2.0), 1e-3), "row", None, 1.0).reversible


@pytest.mark.parametrize("how", ["row", "none"])
def test_torch_points_with_gradients(how):
    g = torch.Generator().manual_seed(1)
    points = torch.randn(8, 2, dtype=torch.float64, generator=g).requires_grad_()
    Z = torch.randn(8, 2, dtype=torch.float64, generator=g).requires_grad_()

    def product(points, Z):
        return NonlocalOperator._normalized(LowRankAffinity.build(points, Gaussian(1.0), 0.05), how, None, 1.0) @ Z

    assert torch.autograd.gradcheck(product, (points, Z), fast_mode=True)
    same = NonlocalOperator._normalized(
        LowRankAffinity.build(points.detach().numpy(), Gaussian(1.0), 0.05), how, None, 1.0
    )
    assert_close((product(points, Z)).detach(), torch.tensor(same @ Z.detach().numpy()), "solve", n=8, cond=100)


def test_gradients_reach_an_embedding_too():
    theta = torch.tensor([[1.0, 0.5]], dtype=torch.float64, requires_grad=True)
    affinity = LowRankAffinity.build(torch.tensor(X), Embedded(Gaussian(1.0), theta), 1e-3)
    affinity.to_dense().sum().backward()
    assert theta.grad is not None and bool(torch.any(theta.grad != 0))
    assert not LowRankAffinity.build(torch.tensor(X), Gaussian(1.0), 1e-3).factor.requires_grad


def test_gradients_of_random_features():
    points = torch.tensor(X, requires_grad=True)

    def product(points):
        rng = np.random.default_rng(0)
        affinity = LowRankAffinity.random_features(points, ExpDot(3.0), 40, rng=rng, kind="positive")
        return NonlocalOperator._normalized(affinity, "row", None, 1.0) @ torch.tensor(X)

    assert torch.autograd.gradcheck(product, points, fast_mode=True)


def test_every_library_gives_the_same(rng):
    points, Z = rng.standard_normal((9, 2)), rng.standard_normal((2, 9, 3))
    ours = NonlocalOperator._normalized(LowRankAffinity.build(points, Gaussian(1.0), 1e-6), "row", None, 1.0)
    for convert in (strict, torch.tensor):
        theirs = NonlocalOperator._normalized(
            LowRankAffinity.build(convert(points), Gaussian(1.0), 1e-6), "row", None, 1.0
        )
        assert_close(np.asarray(theirs @ convert(Z)), ours @ Z, "reduction", n=64)
        assert_close(np.asarray(ours @ convert(Z)), ours @ Z, "reduction", n=64)


def test_a_batch_shares_its_random_features(rng):
    points = rng.standard_normal((2, 5, 3))
    both = LowRankAffinity.random_features(points, Gaussian(2.0), 50, rng=np.random.default_rng(5))
    Z = rng.standard_normal((2, 5, 1))
    for n in range(2):
        one = LowRankAffinity.random_features(points[n], Gaussian(2.0), 50, rng=np.random.default_rng(5))
        assert_close(both.apply(Z)[n], one.apply(Z[n]), "reduction", n=100)


def test_inputs_stay_as_they_are(rng):
    points, Z = X.copy(), rng.standard_normal((3, 2))
    kept = Z.copy()
    NonlocalOperator._normalized(LowRankAffinity.build(points, Gaussian(1.0), 1e-6), "row", None, 1.0) @ Z
    assert np.array_equal(points, X) and np.array_equal(Z, kept)


def test_one_line_tells_what_it_is(rng):
    text = repr(LowRankAffinity.build(X, Gaussian(1.0), 1e-6))
    assert text.startswith("LowRankAffinity(shape=(3, 3), rank=3, error_bound=") and "confidence" not in text
    assert "confidence=0.99" in repr(LowRankAffinity.random_features(X, Gaussian(1.0), 7, rng=rng))


BAD = [
    ([[1.0]], Gaussian(), 1e-6, DtypeError, "one library"),
    (X.astype(int), Gaussian(), 1e-6, DtypeError, "X must be a real floating-point"),
    (X[None], Gaussian(), 1e-6, ShapeError, "one set of points.*random features"),
    (X[:0], Gaussian(), 1e-6, ShapeError, "empty"),
    (X[0], Gaussian(), 1e-6, ShapeError, "at least 2 dimensions"),
    (np.array([[np.nan]]), Gaussian(), 1e-6, NonFiniteError, "X must be finite"),
    (np.array([[np.inf]]), Gaussian(), 1e-6, NonFiniteError, "X must be finite"),
    (X, TopHat(1.0, 2), 1e-6, DomainError, "positive semidefinite.*TopHat.*False"),
    (X, FunctionKernel(quadratic), 1e-6, DomainError, "declare it.*FunctionKernel"),
    (X, FunctionKernel(lambda X, Y: 1 - X @ Y.T, positive_definite=True), 1e-6, DomainError, "omega_ii >= 0"),
    (
        X,
        FunctionKernel(lambda X, Y: 1 + ((X[:, None] - Y[None]) ** 2).sum(-1), positive_definite=True),
        1e-6,
        DomainError,
        "needs a positive semidefinite affinity.*diagonal entry -",
    ),
    (X, Gaussian(), 1e-16, DomainError, "tol must be one that float64 allows"),
    (X.astype(np.float32), Gaussian(), 1e-9, DomainError, "tol must be one that float32 allows.*float64"),
    (X, Gaussian(), 0.0, DomainError, "tol must be > 0"),
    (X, Gaussian(), 1.0, DomainError, "tol must be.*< 1"),
    (X, Gaussian(), np.nan, NonFiniteError, "tol"),
    (X, Gaussian(), "1e-6", DtypeError, "tol must be a real number"),
]


@pytest.mark.parametrize(("points", "kernel", "tol", "error", "message"), BAD)
def test_bad_calls(points, kernel, tol, error, message):
    with pytest.raises(error, match=f"(?s){message}"):
        LowRankAffinity.build(points, kernel, tol)


FEATURES = [
    (X, DotProduct(), {}, DomainError, "Gaussian and ExpDot.*DotProduct.*build"),
    (X, Gaussian(), {"count": 0}, DomainError, "count must be at least 1"),
    (X, Gaussian(), {"count": 2.5}, DtypeError, "count must be a whole number"),
    (X, Gaussian(), {"kind": "cosine"}, ChoiceError, "'trigonometric', 'positive'"),
    (X, Gaussian(), {"confidence": 1.0}, DomainError, "confidence must be.*< 1"),
    (X, Gaussian(), {"confidence": 0.0}, DomainError, "confidence must be > 0"),
    (X, Gaussian(), {"rng": 7}, DtypeError, "numpy.random.Generator"),
    (np.array([[np.nan]]), Gaussian(), {}, NonFiniteError, "X must be finite"),
    (X.astype(int), Gaussian(), {}, DtypeError, "X must be a real floating-point"),
    (X[:0], Gaussian(), {}, ShapeError, "empty"),
    (X[0], Gaussian(), {}, ShapeError, "at least 2 dimensions"),
]


@pytest.mark.parametrize(("points", "kernel", "changed", "error", "message"), FEATURES)
def test_bad_features(points, kernel, changed, error, message, rng):
    arguments = {"count": 5, "rng": rng} | changed
    with pytest.raises(error, match=f"(?s){message}"):
        LowRankAffinity.random_features(points, kernel, arguments.pop("count"), **arguments)


def test_more_landmarks_than_memory_holds_are_refused(monkeypatch, rng):
    monkeypatch.setattr(lowrank_cholesky, "LARGEST", 100 * 200 * 8)
    points = rng.uniform(0, 1, (200, 2))
    assert LowRankAffinity.build(points, Gaussian(0.3), 1e-6).rank <= 100
    with pytest.raises(DomainError, match=r"(?s)landmarks must fit.*100 of 200 positions.*not of low rank"):
        LowRankAffinity.build(points, Gaussian(0.01), 1e-6)


def test_dependent_landmarks_have_no_gradient(monkeypatch):
    points = torch.tensor(X, requires_grad=True)

    def fails(matrix):
        raise RuntimeError("not positive definite")

    monkeypatch.setattr("array_api_compat.torch.linalg.cholesky", fails)
    with pytest.raises(DomainError, match=r"(?s)independent to rounding.*without gradient"):
        LowRankAffinity.build(points, Gaussian(1.0), 1e-6)
