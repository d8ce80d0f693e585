"""Products that look at each pair once, compiled and not: equal to the dense definition, with errors counted in eps."""

import math
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from nlmodel import NonlocalOperator
from nlmodel._jit import compiled
from nlmodel.errors import NonFiniteError, NormalizationError, ShapeError
from nlmodel.kernels import ExpDot, Exponential, FunctionKernel, Gaussian, TopHat, TruncatedGaussian
from nlmodel.operators import compiled as pairs
from nlmodel.operators import streamed
from nlmodel.testing import assert_close, tolerance


M = 1100  # positions: three strips, the last of which is short, and a batch of four that is not full
HOWS = ("none", "row", "symmetric", "sinkhorn", "alpha")
LOCAL = [TruncatedGaussian(1.0, 0.5, 2), Exponential(1.0, 0.3, 2), Exponential(math.inf, 0.3, 2), TopHat(0.8, 2)]
CASES = [(Gaussian(0.7), D) for D in (1, 3, 5, 24)] + [(ExpDot(2.0), 3)] + [(k, 2) for k in LOCAL]
PORTABLE = [(Gaussian(0.7), 3), (LOCAL[0], 2), (FunctionKernel(lambda X, Y: 2 + X @ Y.T, symmetric=True), 2)]


def drawn(rng, D: int, dtype="float64", columns: int = 3) -> tuple[np.ndarray, np.ndarray]:
    X, Z = rng.standard_normal((M, D)) / math.sqrt(D), rng.standard_normal((M, columns))
    return X.astype(dtype), Z.astype(dtype)


def scalings(rng, dtype) -> tuple[np.ndarray, np.ndarray]:
    return rng.uniform(-3, 3, M).astype(dtype), rng.uniform(-3, 3, M).astype(dtype)


def relative_error(found: np.ndarray, K: np.ndarray, Z: np.ndarray) -> float:
    """The largest error over the sum of absolute terms, in units of eps."""
    Z = Z.astype(float)
    return float(np.max(np.abs(found - K @ Z) / (np.abs(K) @ np.abs(Z)))) / float(np.finfo(found.dtype).eps)


def dense(kernel, X: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """exp(left_i) omega_ij exp(right_j) in double precision; which pairs lie within the horizon, in that of X."""
    here, exact = kernel.evaluate(X, X), kernel.evaluate(X.astype(float), X.astype(float))
    omega = np.where((here != 0) & (exact != 0), exact, here)
    return np.exp(left.astype(float))[:, None] * omega * np.exp(right.astype(float))


def product(kernel, X: np.ndarray, Z: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray | None:
    found = pairs.product_of(kernel, X, left, right)
    return None if found is None else found(Z)


def check_product(kernel, X: np.ndarray, Z: np.ndarray, left: np.ndarray, right: np.ndarray, bound: float) -> None:
    K = dense(kernel, X, left, right)
    forward, adjoint = product(kernel, X, Z, left, right), product(kernel, X, Z, right, left)
    assert relative_error(forward.astype(X.dtype), K, Z) <= bound
    assert relative_error(adjoint.astype(X.dtype), K.T, Z) <= bound
    assert relative_error(adjoint.astype(X.dtype), K, Z) > 1e3  # control: the adjoint is another product


@pytest.mark.parametrize("columns", [2, 12])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("kernel", "D"), CASES, ids=repr)
def test_equals_the_dense_definition(kernel, D, dtype, columns, rng):
    X, Z = drawn(rng, D, dtype, columns)
    check_product(kernel, X, Z, *scalings(rng, dtype), bound=12)


@pytest.mark.parametrize(("kernel", "D"), PORTABLE, ids=["Gaussian", "TruncatedGaussian", "function"])
def test_without_numba_tiles_are_used_twice(kernel, D, monkeypatch, rng):
    X, Z = drawn(rng, D)
    monkeypatch.setattr(pairs, "compiled", lambda name: None)
    check_product(kernel, X, Z, *scalings(rng, "float64"), bound=12)
    assert product(ExpDot(2.0), X, Z, np.zeros(M), np.zeros(M)) is None  # known by its logarithm alone


@pytest.mark.parametrize(("kernel", "how"), [(Gaussian(0.7), how) for how in HOWS] + [(ExpDot(2.0), "row")], ids=repr)
def test_the_operator_takes_them(kernel, how, rng):
    X, Z = drawn(rng, 3)
    tiles, K = (NonlocalOperator.from_points(X, kernel, how, storage=s) for s in ("streamed", "dense"))
    scale = float(np.max(np.abs(K.averaging.to_dense()) @ np.abs(Z)))
    assert_close(tiles.average(Z), K.average(Z), "reduction", n=64, scale=scale)
    scale = float(np.max(np.abs(K.averaging.to_dense()).T @ np.abs(Z)))
    assert_close(tiles.averaging.T @ Z, K.averaging.T @ Z, "reduction", n=64, scale=scale)
    assert_close(tiles.degree, K.degree, "reduction", n=64)
    assert tiles.keeps == K.keeps


def test_twin_that_forgets_the_mirror_image_differs(monkeypatch, rng):
    X, Z = drawn(rng, 3)
    zero = np.zeros(M)
    K = dense(Gaussian(0.7), X, zero, zero)
    whole = pairs._every_pair

    def forgetful(add, shape):
        return whole(lambda i0, i1, j0, j1, rows, columns: add(i0, i1, j0, j1, rows, np.zeros_like(columns)), shape)

    assert relative_error(product(Gaussian(0.7), X, Z, zero, zero), K, Z) <= 4
    monkeypatch.setattr(pairs, "_every_pair", forgetful)
    assert relative_error(product(Gaussian(0.7), X, Z, zero, zero), K, Z) > 1e6


def test_the_power_is_rounded_well_and_vanishes_where_it_is_not_normal():
    loops = compiled("operators.compiled_loops")
    for dtype, least in (("float32", -126.0), ("float64", -1022.0)):
        t = np.linspace(least + 1, 0, 4096).astype(dtype)
        x = np.zeros((3, len(t)), dtype)
        x[0] = np.sqrt(-t.astype(float)).astype(dtype)
        squares = (x[0, 1:] - x[0, :1]).astype(float) ** 2
        tile = np.empty((1, len(t)), dtype)
        loops.fill(0, x, x.dtype.type(-1), x.dtype.type(-least), 0, 0, tile)
        size = 1 + np.max(squares)
        error = np.abs(tile[0, 1:] / np.exp2(-squares) - 1)
        assert np.max(error) <= tolerance("elementwise", dtype, scale=size)
        assert tile[0, 0] == 1
        x[0, -1] = x[0, 0] + 20 * math.sqrt(-least)
        loops.fill(0, x, x.dtype.type(-1), x.dtype.type(-least), 0, 0, tile)
        assert tile[0, -1] == 0


def test_far_points_and_small_differences():
    """Differences, not the expanded square: far from the origin digits are lost only by the points themselves."""
    X = 1e6 + np.random.default_rng(3).standard_normal((M, 3))
    Z, zero = np.ones((M, 1)), np.zeros(M)
    K = dense(Gaussian(0.7), X, zero, zero)
    assert relative_error(product(Gaussian(0.7), X, Z, zero, zero), K, Z) <= 12
    squares = np.sum(X * X, 1)
    expanded = np.exp((2 * X @ X.T - squares[:, None] - squares) / (2 * 0.7**2))
    assert relative_error(expanded @ Z, K, Z) > 1e6  # control


def test_wide_features_go_through_products_only_where_digits_stay(monkeypatch, rng):
    used = []
    by_products = pairs._by_products
    monkeypatch.setattr(pairs, "_by_products", lambda *a: used.append(1) or by_products(*a))
    X, Z = drawn(rng, 24, columns=12)
    zero = np.zeros(M)
    for scale, expected in ((0.7, 1), (0.1, 0)):
        K = dense(Gaussian(scale), X, zero, zero)
        assert relative_error(product(Gaussian(scale), X, Z, zero, zero), K, Z) <= 64
        assert len(used) == expected
        used.clear()


def test_scalings_beyond_the_range_are_left_to_the_exponents(monkeypatch, rng):
    monkeypatch.setattr(streamed, "TILE", 512)
    X, Z = drawn(rng, 3)
    assert product(Gaussian(0.7), X, Z, np.zeros(M), np.linspace(0, 100, M)) is None
    assert product(ExpDot(0.01), X, Z, np.zeros(M), np.zeros(M)) is None
    op = NonlocalOperator.from_points(10 * X, ExpDot(1.0), "row", storage="streamed")
    assert_close(op.average(np.ones((M, 1))), np.ones((M, 1)), "reduction", n=M)


def test_the_same_bytes_from_many_threads_at_once(rng):
    X, Z = drawn(rng, 3)
    op = NonlocalOperator.from_points(X, Gaussian(0.7), storage="streamed")
    alone = op.average(Z)
    with ThreadPoolExecutor(4) as pool:
        assert all(np.array_equal(found, alone) for found in pool.map(op.average, [Z] * 8))
    assert not np.array_equal(op.average(2 * Z), alone)  # control
    assert threading.active_count() < 64


def test_inputs_stay_as_they_are(rng):
    X, Z = drawn(rng, 3)
    before = X.copy(), Z.copy()
    X.flags.writeable = Z.flags.writeable = False
    NonlocalOperator.from_points(X, Gaussian(0.7), "alpha", storage="streamed") @ Z
    assert np.array_equal(X, before[0]) and np.array_equal(Z, before[1])


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (
            lambda X, Z: NonlocalOperator.from_points(X, TopHat(1e-9, 3, scaled=False), "row", storage="streamed"),
            None,
            "",
        ),
        (lambda X, Z: op_of(X) @ Z[:-1], ShapeError, "positions"),
        (lambda X, Z: op_of(X) @ np.where(Z > 2, np.nan, Z), NonFiniteError, "finite"),
        (lambda X, Z: op_of(np.where(X > 2, np.inf, X)), NonFiniteError, "finite"),
        (lambda X, Z: NonlocalOperator.from_points(X, NEGATIVE, "row", storage="streamed"), NormalizationError, "row"),
    ],
)
def test_refusals(call, error, match, rng):
    X, Z = rng.standard_normal((M, 3)), rng.standard_normal((M, 2))
    if error is None:
        assert_close(call(X, Z).average(Z), Z, "elementwise")  # every position sees itself alone
        return
    with pytest.raises(error, match=match):
        call(X, Z)


NEGATIVE = FunctionKernel(lambda X, Y: -1 - (X @ Y.T) ** 2, symmetric=True)


def op_of(X: np.ndarray) -> NonlocalOperator:
    return NonlocalOperator.from_points(X, Gaussian(0.7), storage="streamed")
