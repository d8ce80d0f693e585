"""Feature affinities: values, declared laws and invariances, each law with a twin that breaks it."""

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlmodel.errors import DomainError
from nlmodel.kernels import (
    Concatenation,
    Declared,
    Dirac,
    DotProduct,
    Embedded,
    ExpDot,
    FunctionKernel,
    Gaussian,
    as_kernel,
)
from nlmodel.testing import assert_close, tolerance


THETA = np.array([[1.0, -0.5, 0.25], [0.5, 1.0, -1.0]])
PHI = np.array([[0.25, 1.0, 0.5], [-1.0, 0.5, 0.75]])
SQUARE = np.array([[1.0, 0.5, 0.0], [0.0, 1.0, -0.5], [0.25, 0.0, 1.0]])
LEFT, RIGHT = np.array([1.0, -0.5, 0.75]), np.array([0.5, 1.0, -0.25])

KERNELS = [
    Gaussian(0.7),
    ExpDot(1.3),
    DotProduct(),
    Dirac(),
    Concatenation(LEFT, RIGHT),
    Concatenation(LEFT, LEFT),
    Embedded(Gaussian(), THETA),
    Embedded(Gaussian(), SQUARE),
    Embedded(DotProduct(), THETA, PHI),
    Embedded(ExpDot(), SQUARE, SQUARE.T),
    Embedded(Concatenation(LEFT[:2], RIGHT[:2]), THETA, PHI),
    FunctionKernel(lambda X, Y: X @ np.swapaxes(Y, -1, -2), symmetric=True),
]
LAWFUL = [k for k in KERNELS if k.symmetric]
entries = st.floats(-2, 2, width=32).map(lambda v: v if abs(v) > 1e-3 else 0.0)


@st.composite
def points(draw, max_points: int = 6):
    """Random points of the quarter lattice in [-2, 2]^3, some of them equal, some 0."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.integers(-8, 9, (draw(st.integers(1, max_points)), 3)) / 4.0


def scale_of(kernel, X, Y):
    """Size of the terms in an entry: |omega| (1 + |exponent|), or the scalar products before they cancel."""
    products = np.max(np.abs(X)) * np.max(np.abs(Y)) * 16 + np.max(np.abs(X)) + np.max(np.abs(Y))
    return (1 + products) * max(1.0, float(np.max(np.abs(kernel.evaluate(X, Y)))))


def check_symmetric(kernel, X):
    omega = kernel.evaluate(X, X)
    assert_close(omega, omega.T.copy(), "reduction", n=3, scale=scale_of(kernel, X, X))


def check_nonnegative(kernel, X):
    assert np.min(kernel.evaluate(X, X)) >= 0


def check_semidefinite(kernel, X):
    omega = kernel.evaluate(X, X)
    bound = tolerance("reduction", n=3 * len(X), scale=len(X) * scale_of(kernel, X, X))
    assert float(np.linalg.eigvalsh((omega + omega.T) / 2)[0]) >= -bound


def check_strict(kernel, X):
    """On a unit diagonal, which a positive diagonal congruence provides."""
    omega = kernel.evaluate(X, X)
    d = np.sqrt(np.diagonal(omega))
    assert np.all(d > 0)
    bound = tolerance("reduction", n=3 * len(X), scale=len(X) * scale_of(kernel, X, X))
    assert float(np.linalg.eigvalsh(omega / d / d[:, None])[0]) > bound


@given(X=points())
def test_declared_laws_hold(X):
    for kernel in LAWFUL:
        if kernel.symmetric:
            check_symmetric(kernel, X)
        if kernel.nonnegative:
            check_nonnegative(kernel, X)
        if kernel.positive_definite:
            check_semidefinite(kernel, X)


@given(X=points(4).map(lambda X: np.unique(np.round(X), axis=0)))
def test_strictly_positive_definite_on_distinct_points(X):
    for kernel in (Gaussian(0.7), ExpDot(1.3), Dirac(), Embedded(Gaussian(), SQUARE)):
        assert kernel.strictly_positive_definite is True
        check_strict(kernel, X)


def opposite(dim=3):
    x = np.zeros((2, dim))
    x[:, 0] = 1.0, -1.0
    return x


KERNEL_OF_THETA = np.array([[0.0, 0.0, 0.0], np.cross(THETA[0], THETA[1])])
HALF = np.outer([1.0, -0.5], LEFT) / (LEFT @ LEFT)


@pytest.mark.parametrize(
    ("law", "check", "kernel", "X"),
    [
        ("symmetric", check_symmetric, Concatenation(LEFT, RIGHT), np.vstack([np.zeros(3), LEFT])),
        ("symmetric", check_symmetric, Embedded(DotProduct(), THETA, PHI), np.eye(3)),
        ("symmetric", check_symmetric, Embedded(ExpDot(), SQUARE, SQUARE.T), np.eye(3)),
        ("nonnegative", check_nonnegative, DotProduct(), opposite()),
        ("nonnegative", check_nonnegative, Embedded(DotProduct(), THETA), opposite()),
        ("positive_definite", check_semidefinite, Concatenation(LEFT, LEFT), HALF),
        ("strictly_positive_definite", check_strict, DotProduct(), np.zeros((1, 3))),
        ("strictly_positive_definite", check_strict, Embedded(Gaussian(), THETA), KERNEL_OF_THETA),
        ("strictly_positive_definite", check_strict, Embedded(Dirac(), THETA), KERNEL_OF_THETA),
    ],
)
def test_a_law_declared_false_has_a_witness(law, check, kernel, X):
    assert getattr(kernel, law) is False
    with pytest.raises(AssertionError):
        check(kernel, X)


def test_values_against_mpmath(rng):
    mp.mp.dps = 50
    X, Y = rng.uniform(-2, 2, (15, 3)), rng.uniform(-2, 2, (14, 3))
    Y[0], Y[1] = X[0], X[1] + 1e-9
    dot, gaussian, concatenation, equal = (np.zeros((len(X), len(Y))) for _ in range(4))
    for i, x in enumerate(X):
        for j, y in enumerate(Y):
            square = sum((mp.mpf(a) - mp.mpf(b)) ** 2 for a, b in zip(x, y, strict=True))
            dot[i, j] = mp.fsum(mp.mpf(a) * mp.mpf(b) for a, b in zip(x, y, strict=True))
            gaussian[i, j] = mp.exp(-square / (2 * mp.mpf(0.7) ** 2))
            linear = mp.fdot(map(mp.mpf, LEFT), map(mp.mpf, x)) + mp.fdot(map(mp.mpf, RIGHT), map(mp.mpf, y))
            concatenation[i, j] = max(linear, 0)
            equal[i, j] = float(square == 0)
    relative = np.abs(Gaussian(0.7)(X, Y) / gaussian - 1)
    assert np.all(relative <= tolerance("reduction", n=3) * (1 + np.abs(np.log(gaussian))))
    size = np.abs(X) @ np.abs(Y).T
    assert np.all(np.abs(DotProduct()(X, Y) - dot) <= tolerance("reduction", n=3) * size)
    assert_close(ExpDot(1.3)(X, Y), np.exp(dot / 1.3), "reduction", n=3, scale=np.max((1 + size) * np.exp(dot / 1.3)))
    spread = np.max(np.abs(X) @ np.abs(LEFT)) + np.max(np.abs(Y) @ np.abs(RIGHT))
    assert_close(Concatenation(LEFT, RIGHT)(X, Y), concatenation, "reduction", n=3, scale=spread)
    assert_close(Dirac()(X, Y), equal, "exact")


def test_gaussian_of_near_points_far_from_the_origin():
    """The expanded square |x|^2 + |y|^2 - 2 x.y loses every digit here."""
    X = np.array([[1e8, 1e8], [1e8 + 1, 1e8]])
    assert_close(Gaussian(1.0)(X)[0, 1:], np.exp([-0.5]))
    s = np.sum(X * X, axis=1)
    expanded = s[:, None] + s - 2 * X @ X.T
    with pytest.raises(AssertionError):
        assert_close(np.exp(-expanded / 2)[0, 1:], np.exp([-0.5]))


def rotation(angle):
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


@given(X=points(), angle=st.floats(0, 6), shift=st.tuples(entries, entries, entries))
def test_gaussian_is_invariant_under_translation_and_rotation(X, angle, shift):
    moved = X @ rotation(angle).T + np.array(shift)
    assert_close(Gaussian(0.7)(moved), Gaussian(0.7)(X), "reduction", n=9, scale=64)


@given(X=points(), angle=st.floats(0, 6))
def test_exp_dot_is_invariant_under_rotation(X, angle):
    omega = ExpDot(1.3)(X)
    assert_close(ExpDot(1.3)(X @ rotation(angle).T), omega, "reduction", n=9, scale=16 * np.max(omega))


def test_other_kernels_and_other_maps_are_not_invariant():
    X = np.eye(3)
    with pytest.raises(AssertionError):
        assert_close(ExpDot(1.3)(X + 1.0), ExpDot(1.3)(X), "reduction", n=9, scale=16)
    with pytest.raises(AssertionError):
        assert_close(Gaussian(0.7)(X @ SQUARE), Gaussian(0.7)(X), "reduction", n=9, scale=64)
    with pytest.raises(AssertionError):
        k = Concatenation(LEFT, RIGHT)
        assert_close(k(X @ rotation(1.0).T), k(X), "reduction", n=9, scale=64)


def test_exp_dot_is_a_congruence_of_the_gaussian(rng):
    X = rng.uniform(-2, 2, (20, 3))
    d = np.exp(np.sum(X * X, axis=1) / 2)
    omega = d[:, None] * Gaussian(1.0)(X) * d
    assert_close(ExpDot(1.0)(X), omega, "reduction", n=9, scale=16 * np.max(omega))


def test_log_is_the_logarithm(rng):
    X = rng.uniform(-2, 2, (20, 3))
    for kernel in (Gaussian(0.7), Embedded(ExpDot(), THETA)):
        omega = kernel(X)
        assert kernel.exponential
        assert_close(np.exp(kernel.log(X)), omega, "exact")
        assert_close(kernel.evaluate(X, X), omega, "exact")


def test_exponentials_never_overflow_silently():
    X = np.array([[30.0], [1.0]])
    with pytest.raises(DomainError, match=r"largest logit 900(.|\n)*kernel.log"):
        ExpDot()(X)
    assert_close(ExpDot().log(X), np.array([[900.0, 30.0], [30.0, 1.0]]))
    assert np.all(np.isfinite(ExpDot()(X / 1.2)))
    with pytest.raises(DomainError, match="largest logit 100"):
        ExpDot()(np.array([[10.0]], dtype=np.float32))
    assert Gaussian(1e-3)(X)[0, 1] == 0.0


def test_dirac_is_the_identity_on_distinct_points_and_blocks_on_repeated():
    assert_close(Dirac()(np.array([[1.0], [2.0], [3.0]])), np.eye(3), "exact")
    assert_close(Dirac()(np.array([[0.0], [-0.0]])), np.ones((2, 2)), "exact")
    assert_close(Dirac()(np.array([[1.0, 2.0], [1.0, 3.0]])), np.eye(2), "exact")


def test_embedding_inherits_only_what_survives():
    assert Embedded(Gaussian(), SQUARE).declared == Gaussian().declared
    assert Embedded(Gaussian(), THETA).declared == Declared(True, True, True, False)
    assert Embedded(Gaussian(), np.ones((3, 3))).strictly_positive_definite is False
    assert Embedded(Gaussian(), THETA, THETA.copy()).symmetric is True
    assert Embedded(Gaussian(), THETA, PHI).declared == Declared(None, True, None, None)
    assert Embedded(DotProduct(), THETA, PHI).declared == Declared(False, None, False, False)
    assert Embedded(DotProduct(), SQUARE, -SQUARE).symmetric is None
    concatenation = Concatenation(LEFT, RIGHT)
    assert Embedded(concatenation, SQUARE).symmetric is False
    assert Embedded(concatenation, np.zeros((3, 2))).symmetric is None
    tall = np.vstack([np.eye(2), np.ones((1, 2))])
    assert Embedded(Gaussian(), tall).strictly_positive_definite is True
    assert Embedded(concatenation, tall).positive_definite is None


def test_embedding_is_the_kernel_of_the_embedded_points(rng):
    X, Y = rng.standard_normal((4, 3)), rng.standard_normal((5, 3))
    for inner in (Gaussian(), DotProduct(), Concatenation(LEFT[:2], RIGHT[:2])):
        assert_close(Embedded(inner, THETA, PHI)(X, Y), inner(X @ THETA.T, Y @ PHI.T), "exact")
        with pytest.raises(AssertionError):
            assert_close(Embedded(inner, THETA, PHI)(X, Y), inner(X @ PHI.T, Y @ THETA.T), "solve")


def test_embedded_concatenation_is_the_functional_of_the_pair(rng):
    X = rng.standard_normal((4, 3))
    pairs = np.concatenate(np.broadcast_arrays((X @ THETA.T)[:, None, :], (X @ PHI.T)[None, :, :]), axis=-1)
    expected = np.maximum(pairs @ np.concatenate([LEFT[:2], RIGHT[:2]]), 0)
    assert_close(Embedded(Concatenation(LEFT[:2], RIGHT[:2]), THETA, PHI)(X), expected, "reduction", n=8)


def test_vanishing_concatenation_is_semidefinite():
    assert Concatenation(np.zeros(2), np.zeros(2)).declared == Declared(True, True, True, False)
    assert Concatenation(LEFT, RIGHT).declared == Declared(False, True, False, False)
    assert Concatenation(LEFT, LEFT).declared == Declared(True, True, False, False)


def test_declarations_are_closed_under_implication():
    assert Declared(strictly_positive_definite=True) == Declared(True, None, True, True)
    assert Declared(symmetric=False) == Declared(False, None, False, False)
    for contradiction in (
        {"symmetric": False, "positive_definite": True},
        {"positive_definite": False, "strictly_positive_definite": True},
        {"symmetric": False, "strictly_positive_definite": True},
    ):
        with pytest.raises(DomainError, match="implies"):
            Declared(**contradiction)


@pytest.mark.parametrize("shape", [(1,), (4,), (2, 3), (2, 1, 3)])
def test_batches_are_computed_one_by_one(shape, rng):
    X = rng.standard_normal((*shape, 3))
    Y = rng.standard_normal((5, 3))
    for kernel in KERNELS:
        omega = kernel(X, Y)
        assert omega.shape == (*shape, 5)
        first = (0,) * (len(shape) - 1)
        assert_close(omega[first], kernel(X[first], Y), "reduction", n=3, scale=scale_of(kernel, X, Y))


def test_a_bare_function_is_a_kernel():
    def distance(X, Y):
        return np.sum(np.abs(X[..., :, None, :] - Y[..., None, :, :]), axis=-1)

    kernel = as_kernel(distance)
    assert repr(kernel) == "FunctionKernel(distance)"
    assert kernel.declared == Declared()
    assert_close(kernel(np.array([[0.0], [2.0]])), np.array([[0.0, 2.0], [2.0, 0.0]]), "exact")
    assert as_kernel(kernel) is kernel
    assert repr(FunctionKernel(distance, positive_definite=False)).endswith(
        "positive_definite=False, strictly_positive_definite=False)"
    )
