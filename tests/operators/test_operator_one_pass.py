"""Row sums, K Z and K^T Y with every entry evaluated once: equal to what each gives by itself."""

import math

import numpy as np
import pytest
import torch
from array_api_strict import asarray as strict

from nlmodel import NonlocalOperator, row_averages
from nlmodel.errors import DomainError, DtypeError, NonFiniteError, NormalizationError, ShapeError
from nlmodel.kernels import DotProduct, ExpDot, FunctionKernel, Gaussian, TopHat, TruncatedGaussian
from nlmodel.operators import SparseAffinity, StreamedAffinity
from nlmodel.operators import compiled as pairs
from nlmodel.testing import assert_close


SOFT = FunctionKernel(lambda X, Y: 1 + (X @ Y.T) ** 2)
SKEW = FunctionKernel(lambda X, Y: 1 + (X @ Y.T) ** 2 + X[:, :1])
KERNELS = [Gaussian(0.7), ExpDot(2.0), SOFT, SKEW, TruncatedGaussian(0.8, 0.3, 2), TopHat(3.0, 2)]
MANY = 1100  # from 512 on pairs are looked at once


def drawn(rng, M: int, dtype="float64") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, two channels, weights."""
    found = rng.uniform(-1, 1, (M, 2)), rng.standard_normal((M, 2)), rng.uniform(0.5, 2.0, M)
    return tuple(x.astype(dtype) for x in found)


def dense(kernel, X, Z, weights) -> np.ndarray:
    """The definition, in double precision."""
    X, Z, weights = (np.asarray(x, dtype=float) for x in (X, Z, weights))
    K = kernel(X) * weights
    return K / K.sum(1, keepdims=True) @ Z


@pytest.mark.parametrize("convert", [np.asarray, torch.as_tensor, strict], ids=["NumPy", "torch", "strict"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_row_averages_are_those_of_the_definition(kernel, dtype, convert, rng):
    X, Z, weights = drawn(rng, 11, dtype)
    found = row_averages(convert(X), kernel, convert(Z), weights=convert(weights))
    assert type(found) is type(convert(Z))
    found, expected = np.asarray(found), dense(kernel, X, Z, weights)
    assert found.dtype == Z.dtype
    assert_close(found, expected.astype(dtype), "reduction", n=64, scale=4.0)
    unweighted = dense(kernel, X, Z, np.ones(11)).astype(dtype)
    with pytest.raises(AssertionError):  # control: the weights count
        assert_close(found, unweighted, "reduction", n=64, scale=4.0)


@pytest.mark.parametrize("jit", [True, False], ids=["compiled", "portable"])
@pytest.mark.parametrize("kernel", [Gaussian(0.7), ExpDot(2.0)], ids=repr)
def test_row_averages_of_many_points(kernel, jit, monkeypatch, rng):
    if not jit:
        monkeypatch.setattr(pairs, "compiled", lambda name: None)
        monkeypatch.setattr("nlmodel.operators.streamed.TILE", 512)
    X, Z, weights = drawn(rng, MANY)
    found = row_averages(X, kernel, Z, weights=weights)
    assert_close(found, dense(kernel, X, Z, weights), "reduction", n=64, scale=4.0)


def test_nothing_overflows(rng):
    """exp(x.y) of long vectors does; each row and tile is looked at from its own largest exponent."""
    X, Z, _ = drawn(rng, 9)
    X *= 40
    op = NonlocalOperator.from_points(X, ExpDot(1.0), storage="dense")
    size = float(np.abs(X @ X.T).max())  # of the exponents, whose rounding the exponential carries on
    assert size > math.log(np.finfo(float).max)  # control: the definition overflows
    for convert in (np.asarray, torch.as_tensor):
        found = row_averages(convert(X), ExpDot(1.0), convert(Z))
        assert_close(np.asarray(found), op.average(Z), "reduction", n=64, scale=size)


def test_a_position_that_a_whole_tile_does_not_see(rng):
    """All logarithms of a tile are -inf there: it adds nothing, and moves nothing."""
    X, Z, weights = drawn(rng, 11)
    X[:5] += 50
    kernel = TruncatedGaussian(4.0, 0.1, 2)
    for convert in (np.asarray, torch.as_tensor):
        found = row_averages(convert(X), kernel, convert(Z), weights=convert(weights))
        assert_close(np.asarray(found), dense(kernel, X, Z, weights), "reduction", n=64, scale=64.0)


@pytest.mark.parametrize("how", ["none", "row", "alpha"])
@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_both_products_at_once(kernel, how, rng):
    X, Z, _ = drawn(rng, 11)
    Y = rng.standard_normal((11, 3))
    for storage in ("streamed", "dense"):
        op = NonlocalOperator.from_points(X, kernel, how, storage=storage)
        ahead, behind = op.average_both(Z, Y)
        K = NonlocalOperator.from_points(X, kernel, how, storage="dense").averaging.to_dense()
        assert_close(ahead, K @ Z, "reduction", n=64, scale=float(np.abs(K).sum(1).max()) * 4)
        assert_close(behind, K.T @ Y, "reduction", n=64, scale=float(np.abs(K).sum(0).max()) * 4)


@pytest.mark.parametrize("how", ["none", "row", "alpha"])
@pytest.mark.parametrize("columns", [1, 6])
def test_both_products_of_many_points(how, columns, rng):
    X, Z, weights = drawn(rng, MANY)
    Y = rng.standard_normal((MANY, columns))
    op = NonlocalOperator.from_points(X, Gaussian(0.7), how, storage="streamed", weights=weights)
    ahead, behind = op.average_both(Z, Y)
    scale = 4 * float(np.max(op.averaging.T @ np.ones(MANY)))
    assert_close(ahead, op.average(Z), "reduction", n=64, scale=scale)
    assert_close(behind, op.averaging.T @ Y, "reduction", n=64, scale=scale)
    with pytest.raises(AssertionError):  # control: K is not its own transpose
        assert_close(behind, op.average(Y), "reduction", n=64, scale=scale)


class Counted:
    """A function of points that counts the entries it has given."""

    def __init__(self):
        self.entries = 0

    def __call__(self, X, Y):
        self.entries += len(X) * len(Y)
        return 1 / (1 + ((X[:, None] - Y[None]) ** 2).sum(-1))


def test_every_entry_is_evaluated_once(rng):
    X, Z, _ = drawn(rng, 11)
    counted = Counted()
    row_averages(X, counted, Z)
    assert counted.entries == 11**2
    op = NonlocalOperator.from_points(X, FunctionKernel(counted, symmetric=True, nonnegative=True), storage="streamed")
    counted.entries = 0
    op.average_both(Z, Z)
    assert counted.entries == 11**2
    op.average(Z)
    op.averaging.T @ Z
    assert counted.entries == 3 * 11**2  # control: one at a time they are evaluated twice


@pytest.mark.parametrize("kernel", [Gaussian(0.8), ExpDot(1.0), SKEW], ids=repr)
def test_gradients(kernel):
    g = torch.Generator().manual_seed(1)
    X = torch.rand(6, 2, dtype=torch.float64, generator=g).requires_grad_()
    Z, Y = (torch.randn(6, 1, dtype=torch.float64, generator=g).requires_grad_() for _ in range(2))

    def both(X, Z, Y):
        return NonlocalOperator.from_points(X, kernel, storage="streamed").average_both(Z, Y)

    assert torch.autograd.gradcheck(lambda X, Z: row_averages(X, kernel, Z), (X, Z), fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda X, Z: row_averages(X, kernel, Z), (X, Z), fast_mode=True)
    assert torch.autograd.gradcheck(both, (X, Z, Y), fast_mode=True)


def test_autograd_keeps_no_tiles():
    """What the graph holds on to grows like M, not like M^2."""
    X = torch.rand(64, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).requires_grad_()
    Z = torch.ones(64, 1, dtype=torch.float64)
    assert kept(lambda: row_averages(X, Gaussian(0.8), Z)) < 16 * 16
    assert kept(lambda: torch.exp(-(torch.cdist(X, X) ** 2)) @ Z) >= 64 * 64  # control


def kept(call) -> int:
    """The size of the largest tensor that the graph keeps."""
    sizes: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (sizes.append(t.numel()), t)[1], lambda t: t):
        call()
    return max(sizes)


def test_vectors_batches_and_fields_of_another_library(rng):
    X, Z, _ = drawn(rng, 9)
    whole = row_averages(X, Gaussian(0.7), Z)
    assert_close(row_averages(X, Gaussian(0.7), Z[:, 0]), whole[:, 0], "reduction", n=9, scale=4.0)
    there = row_averages(X, Gaussian(0.7), torch.from_numpy(Z))
    assert_close(there.numpy(), whole, "reduction", n=9, scale=4.0)
    several = row_averages(np.stack([X, 2 * X]), Gaussian(0.7), Z)
    assert several.shape == (2, 9, 2)
    assert_close(several[0], whole, "reduction", n=9, scale=4.0)
    op = NonlocalOperator.from_points(X, Gaussian(0.7), storage="streamed")
    ahead, behind = op.average_both(Z[:, 0], Z)
    assert ahead.shape == (9,) and behind.shape == (9, 2)


def test_a_finite_horizon_is_not_searched_everywhere(monkeypatch, rng):
    X, Z, weights = drawn(rng, MANY)
    kernel = TopHat(0.2, 2)
    monkeypatch.setattr(StreamedAffinity, "averages", None)
    found = row_averages(X, kernel, Z, weights=weights)
    assert_close(found, dense(kernel, X, Z, weights), "reduction", n=64, scale=4.0)
    monkeypatch.setattr(SparseAffinity, "from_points", None)
    with pytest.raises(TypeError):  # control
        row_averages(X, kernel, Z)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda X, Z: row_averages(X - X.mean(0), DotProduct(), Z), NormalizationError, "row"),
        (lambda X, Z: row_averages(X, lambda X, Y: np.full((len(X), len(Y)), np.nan), Z), NormalizationError, "nan"),
        (lambda X, Z: row_averages(X, Gaussian(1.0), Z[:4]), ShapeError, "positions"),
        (lambda X, Z: row_averages(X[0], Gaussian(1.0), Z), ShapeError, "dimensions"),
        (lambda X, Z: row_averages(X, Gaussian(1.0), Z.astype("float32")), DtypeError, "precision"),
        (lambda X, Z: row_averages(X / 0, Gaussian(1.0), Z), NonFiniteError, "X"),
        (lambda X, Z: row_averages(X, Gaussian(1.0), Z / 0), NonFiniteError, "Z"),
        (lambda X, Z: row_averages(X, Gaussian(1.0), Z, weights=-np.ones(9)), DomainError, "weights"),
        (lambda X, Z: NonlocalOperator.from_points(X, Gaussian(1.0)).average_both(Z, Z[:4]), ShapeError, "Y"),
    ],
)
def test_refusals(call, error, match, rng):
    X, Z, _ = drawn(rng, 9)
    with np.errstate(all="ignore"), pytest.raises(error, match=match):
        call(X, Z)
